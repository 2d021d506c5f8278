"""Paths: frozen curves with parameter t in [0, 1].

- :class:`Line` (lerp), :class:`GreatArc` (slerp with interpolated norms) and :class:`HalfwayNorm`
  (the direction of lerp, the mean of their norms): from two end points.
- :class:`Spline`: smooth through given nodes; what solvers return. :class:`Polyline`: straight
  segments through given nodes. :class:`Hermite`: through nodes with given velocities; what rays
  return.
- :func:`chord`: the manifold's own geodesic. :func:`initial_paths`: the chord and displaced chords,
  to start a solver from.
- :func:`measure`: length and log density along any path, as a :class:`Profile`.
"""

from diffusion_geodesics.geodesics import initial_paths
from diffusion_geodesics.ivp import Hermite
from diffusion_geodesics.length import LengthProfile, Profile, measure
from diffusion_geodesics.path import (
    GreatArc,
    HalfwayNorm,
    Line,
    Path,
    Polyline,
    Spline,
    chord,
    separation,
)

__all__ = [
    "GreatArc",
    "HalfwayNorm",
    "Hermite",
    "LengthProfile",
    "Line",
    "Path",
    "Polyline",
    "Profile",
    "Spline",
    "chord",
    "initial_paths",
    "measure",
    "separation",
]
