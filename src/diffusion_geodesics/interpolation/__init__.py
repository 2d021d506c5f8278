"""Paths through images, decoded: morphs and films."""
