"""Boundary value problems: the geodesic between two points."""

from diffusion_geodesics.bvp.loop import solve_bvp
from diffusion_geodesics.bvp.preconditioned import PreconditionedFlow
from diffusion_geodesics.bvp.solution import GeodesicError, Result, Solution, Start, Step
from diffusion_geodesics.bvp.solver import BVPSolver, Level

__all__ = [
    "BVPSolver",
    "GeodesicError",
    "Level",
    "PreconditionedFlow",
    "Result",
    "Solution",
    "Start",
    "Step",
    "solve_bvp",
]
