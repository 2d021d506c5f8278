"""Frames between handwritten digits, by a pretrained model that nobody here trained."""
