"""Probability density geodesics in the latent space of diffusion models.

>>> import diffusion_geodesics as dg
>>> solution = dg.geodesic(dg.Gaussian([0.0, 0.0], 1.0), [1.5, 0.0], [0.0, 1.5])
>>> solution.result, float(solution.length)

References
----------
Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025,
arXiv 2504.06675.
"""

from diffusion_geodesics.bvp import (
    BVPSolver,
    GeodesicError,
    PreconditionedFlow,
    Result,
    Solution,
    Step,
    solve_bvp,
)
from diffusion_geodesics.density import (
    Density,
    FunctionScore,
    Gaussian,
    GaussianMixture,
    HalfPlane,
    Score,
    VonMisesFisher,
)
from diffusion_geodesics.geodesic import geodesic
from diffusion_geodesics.length import Profile, measure
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.metric import Conformal, ConformalMetric, Connection, Metric
from diffusion_geodesics.path import GreatArc, HalfwayNorm, Line, Path, Polyline, Spline

__version__ = "0.1.0"

__all__ = [
    "BVPSolver",
    "Conformal",
    "ConformalMetric",
    "Connection",
    "Density",
    "Flat",
    "FunctionScore",
    "Gaussian",
    "GaussianMixture",
    "GeodesicError",
    "GreatArc",
    "HalfPlane",
    "HalfwayNorm",
    "Line",
    "Manifold",
    "Metric",
    "Path",
    "Polyline",
    "PreconditionedFlow",
    "Profile",
    "Result",
    "Score",
    "Solution",
    "Sphere",
    "Spline",
    "Step",
    "VonMisesFisher",
    "geodesic",
    "measure",
    "solve_bvp",
]
