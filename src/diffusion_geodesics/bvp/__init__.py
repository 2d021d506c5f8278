"""Boundary value problems: the geodesic between two points."""

from diffusion_geodesics.bvp.energy import EnergySolution, minimise_energy
from diffusion_geodesics.bvp.loop import solve_bvp
from diffusion_geodesics.bvp.preconditioned import PreconditionedFlow
from diffusion_geodesics.bvp.published import PublishedDescent, mean_norm_sphere, published_alpha
from diffusion_geodesics.bvp.shooting import Shooting
from diffusion_geodesics.bvp.solution import (
    GeodesicError,
    GivenUp,
    Result,
    Solution,
    Start,
    Step,
)
from diffusion_geodesics.bvp.solver import Between, BVPSolver, Level
from diffusion_geodesics.bvp.string import StringMethod
from diffusion_geodesics.bvp.tempered import TemperedString, finite_temperature_string

__all__ = [
    "BVPSolver",
    "Between",
    "EnergySolution",
    "GeodesicError",
    "GivenUp",
    "Level",
    "PreconditionedFlow",
    "PublishedDescent",
    "Result",
    "Shooting",
    "Solution",
    "Start",
    "Step",
    "StringMethod",
    "TemperedString",
    "finite_temperature_string",
    "mean_norm_sphere",
    "minimise_energy",
    "published_alpha",
    "solve_bvp",
]
