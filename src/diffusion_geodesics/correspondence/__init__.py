"""What in one image is what in another, by the features of a diffusion network, and images that
are carried along it."""

from diffusion_geodesics.correspondence.carrying import carry
from diffusion_geodesics.correspondence.features import LEVELS, ROWS, look
from diffusion_geodesics.correspondence.halfway import Matches, match

__all__ = ["LEVELS", "ROWS", "Matches", "carry", "look", "match"]
