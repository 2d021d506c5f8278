"""Methods of interpolation on the same pairs of images, measured alike."""
