"""Boundary value problems: the geodesic between two points."""

from diffusion_geodesics.bvp.energy_minimiser import EnergyMinimiser
from diffusion_geodesics.bvp.euler_lagrange import Evaluation
from diffusion_geodesics.bvp.node_update import Level
from diffusion_geodesics.bvp.preconditioned import PreconditionedFlow
from diffusion_geodesics.bvp.published import PublishedDescent, mean_norm_sphere, published_alpha
from diffusion_geodesics.bvp.relaxation import RelaxationSolver
from diffusion_geodesics.bvp.result import GivenUp, Result, Start, Step
from diffusion_geodesics.bvp.shooting import Shooting
from diffusion_geodesics.bvp.solution import GeodesicError, Solution
from diffusion_geodesics.bvp.solve import solve_bvp
from diffusion_geodesics.bvp.solver import BoundaryProblem, BVPSolver, Control
from diffusion_geodesics.bvp.string_method import StringMethod

__all__ = [
    "BVPSolver",
    "BoundaryProblem",
    "Control",
    "EnergyMinimiser",
    "Evaluation",
    "GeodesicError",
    "GivenUp",
    "Level",
    "PreconditionedFlow",
    "PublishedDescent",
    "RelaxationSolver",
    "Result",
    "Shooting",
    "Solution",
    "Start",
    "Step",
    "StringMethod",
    "mean_norm_sphere",
    "published_alpha",
    "solve_bvp",
]
