"""On from an image, or from the end of a clip, along a geodesic."""
