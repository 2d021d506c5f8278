"""Frames between those of a real film, and whether its clips are near geodesics."""
