"""Probability density geodesics in the latent space of diffusion models.

>>> import diffusion_geodesics as dg
>>> solution = dg.geodesic(dg.Gaussian([0.0, 0.0], 1.0), [1.5, 0.0], [0.0, 1.5])
>>> solution.result, float(solution.length)

>>> morph = dg.interpolate(dg.load_model("embedded"), "a.png", "b.png")
>>> morph.save("out")

References
----------
Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025,
arXiv 2504.06675.
"""

from diffusion_geodesics.apps import Estimate, Family, Interpolation, Pace, Settings, interpolate
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
from diffusion_geodesics.models import ModelError, StableDiffusionModel, load_model
from diffusion_geodesics.path import GreatArc, HalfwayNorm, Line, Path, Polyline, Spline

__version__ = "0.1.0"

__all__ = [
    "BVPSolver",
    "Conformal",
    "ConformalMetric",
    "Connection",
    "Density",
    "Estimate",
    "Family",
    "Flat",
    "FunctionScore",
    "Gaussian",
    "GaussianMixture",
    "GeodesicError",
    "GreatArc",
    "HalfPlane",
    "HalfwayNorm",
    "Interpolation",
    "Line",
    "Manifold",
    "Metric",
    "ModelError",
    "Pace",
    "Path",
    "Polyline",
    "PreconditionedFlow",
    "Profile",
    "Result",
    "Score",
    "Settings",
    "Solution",
    "Sphere",
    "Spline",
    "StableDiffusionModel",
    "Step",
    "VonMisesFisher",
    "geodesic",
    "interpolate",
    "load_model",
    "measure",
    "solve_bvp",
]
