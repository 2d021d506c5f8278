"""Distances and densities of sets of images."""
