"""Densities and scores with exact values, and scores from functions.

- :class:`Gaussian`, :class:`GaussianMixture`: in any dimension.
- :class:`VonMisesFisher`: on a sphere.
- :class:`HalfPlane`: whose metric at α = 1 is that of the hyperbolic plane.
- :class:`FunctionScore`: a score from a function x -> s(x).

To add one derive from :class:`Score`, or from :class:`Density` if its log density is known.
"""

from diffusion_geodesics.density import (
    Density,
    FunctionScore,
    Gaussian,
    GaussianMixture,
    HalfPlane,
    Score,
    VonMisesFisher,
)

__all__ = [
    "Density",
    "FunctionScore",
    "Gaussian",
    "GaussianMixture",
    "HalfPlane",
    "Score",
    "VonMisesFisher",
]
