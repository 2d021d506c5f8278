"""Initial value problems: the geodesic from a point in a direction."""

from diffusion_geodesics.ivp.hermite import Hermite
from diffusion_geodesics.ivp.integrator import Attempt, FixedStep, Integrator, State
from diffusion_geodesics.ivp.loop import solve_ivp
from diffusion_geodesics.ivp.published import PublishedRungeKutta
from diffusion_geodesics.ivp.ray import Ray, RayResult
from diffusion_geodesics.ivp.runge_kutta import CLASSICAL, AdaptiveRungeKutta, RungeKutta, Tableau
from diffusion_geodesics.ivp.splitting import STRANG, SUZUKI, Composition, IsokineticSplitting
from diffusion_geodesics.ivp.stops import (
    AfterArc,
    AfterLength,
    LeavesNorms,
    LeavesTypicalSet,
    Stop,
)

__all__ = [
    "CLASSICAL",
    "STRANG",
    "SUZUKI",
    "AdaptiveRungeKutta",
    "AfterArc",
    "AfterLength",
    "Attempt",
    "Composition",
    "FixedStep",
    "Hermite",
    "Integrator",
    "IsokineticSplitting",
    "LeavesNorms",
    "LeavesTypicalSet",
    "PublishedRungeKutta",
    "Ray",
    "RayResult",
    "RungeKutta",
    "State",
    "Stop",
    "Tableau",
    "solve_ivp",
]
