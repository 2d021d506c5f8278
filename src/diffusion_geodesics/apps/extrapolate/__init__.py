"""Extrapolation: from an image, or the end of a clip, on along a geodesic."""

from diffusion_geodesics.apps.extrapolate.directions import (
    ClipVelocity,
    Direction,
    GivenVector,
    Past,
    RandomTangent,
    Towards,
    TowardsPrompt,
)
from diffusion_geodesics.apps.extrapolate.extrapolate import extrapolate
from diffusion_geodesics.apps.extrapolate.extrapolation import Arrival, Extrapolation
from diffusion_geodesics.apps.extrapolate.march import March, march
from diffusion_geodesics.apps.extrapolate.settings import Ascent, ExtrapolationSettings, Remedies
from diffusion_geodesics.apps.extrapolate.terrain import Launch, Terrain

__all__ = [
    "Arrival",
    "Ascent",
    "ClipVelocity",
    "Direction",
    "Extrapolation",
    "ExtrapolationSettings",
    "GivenVector",
    "Launch",
    "March",
    "Past",
    "RandomTangent",
    "Remedies",
    "Terrain",
    "Towards",
    "TowardsPrompt",
    "extrapolate",
    "march",
]
