"""Directions to extrapolate in.

:class:`Towards` an image (or :class:`Past` it) follows the geodesic between two images;
:class:`TowardsPrompt` follows the score of what a prompt adds; :class:`ClipVelocity` goes on from
the last frames of a clip; :class:`RandomTangent` and :class:`GivenVector` are what they say.
"""

from diffusion_geodesics.extrapolation.directions import (
    ClipVelocity,
    Direction,
    GivenVector,
    Past,
    RandomTangent,
    Towards,
    TowardsPrompt,
)
from diffusion_geodesics.extrapolation.vectors import read_vector

__all__ = [
    "ClipVelocity",
    "Direction",
    "GivenVector",
    "Past",
    "RandomTangent",
    "Towards",
    "TowardsPrompt",
    "read_vector",
]
