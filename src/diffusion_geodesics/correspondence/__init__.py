"""What in one image is what in another, by the features of a diffusion network, and images that
are carried along it."""

from diffusion_geodesics.correspondence.features import LEVELS, ROWS, look
from diffusion_geodesics.correspondence.matching import Field, Matches, match
from diffusion_geodesics.correspondence.splatting import carry

__all__ = ["LEVELS", "ROWS", "Field", "Matches", "carry", "look", "match"]
