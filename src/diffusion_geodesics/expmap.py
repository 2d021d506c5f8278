r"""The exponential map of a density's geometry, and its inverse.

With the density relative to the start x the metric is the Euclidean one at x. There
:math:`\exp_x(v)` is the end of the geodesic that leaves x with velocity v and has the metric length
|v|; :math:`\log_x(y)` is the v of shortest length with :math:`\exp_x(v) = y`. So |log_x(y)| is the
length of the geodesic from x to y, relative to x.

References
----------
do Carmo, Riemannian Geometry, 1992, chapter 3. Yu et al., CVPR 2025, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp import BVPSolver, Solution
from diffusion_geodesics.bvp.aim import Shooting, take_aim
from diffusion_geodesics.bvp.matching import Launch
from diffusion_geodesics.density import ArrayLike, Score, as_score
from diffusion_geodesics.geodesic import end_points, geodesic
from diffusion_geodesics.ivp import AdaptiveRungeKutta, AfterLength, Integrator, Ray, solve_ivp
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.manifold import Flat, Manifold
from diffusion_geodesics.metric import Conformal


def exp(
    score_or_density: Score | Callable[[Tensor], Tensor],
    x: ArrayLike,
    v: ArrayLike,
    *,
    alpha: float = 1.0,
    manifold: Manifold | None = None,
    integrator: Integrator | None = None,
    max_steps: int = 1000,
    growth: bool = True,
    error: bool = True,
) -> Ray:
    r"""The geodesic from x with initial velocity v, of metric length |v|.

    Args:
        score_or_density: as for :func:`diffusion_geodesics.geodesic`; one that does not change
            along the curve.
        x: starts, shape (dim,) or (*batch, dim); projected onto the manifold.
        v: initial velocities, of the same shape; the tangent part is used. Its norm is the length
            of the geodesic under :math:`(p / p(x))^{-2\alpha} I`.
        alpha: strength α ≥ 0.
        manifold: flat space by default.
        integrator: :class:`AdaptiveRungeKutta` by default. Those of fixed steps take steps of
            at most |v|/steps in Euclidean and in metric length.
        max_steps: towards high density a geodesic can be long; here it is cut off.
        growth, error: as for :func:`diffusion_geodesics.ivp.solve_ivp`.

    Returns:
        A :class:`Ray`; ``ray.end`` is exp_x(v), ``ray.growth`` and ``ray.error`` say how far to
        trust it, ``ray.result`` whether the length was reached.

    Raises:
        ValueError: bad shapes, or values that are not finite.

    Cost: by default 13 to 30 steps of 12 score evaluations for the ray, as many for its companion
    in the same calls, and rather less for the error: about 600 to 1000.
    """
    manifold = Flat() if manifold is None else manifold
    start, velocity = end_points(x, v)
    start = manifold.project(start)
    velocity = manifold.to_tangent(start, velocity)
    return solve_ivp(
        Conformal(as_score(score_or_density), alpha, manifold),
        start,
        velocity,
        integrator=AdaptiveRungeKutta() if integrator is None else integrator,
        stops=[AfterLength(torch.linalg.vector_norm(velocity, dim=-1))],
        horizon=math.inf,
        max_steps=max_steps,
        growth=growth,
        error=error,
    )


@dataclass(frozen=True)
class Log:
    """The inverse of the exponential map at y.

    Args:
        velocity: v with exp_x(v) = y, shape (*batch, dim); |v| is the length of the geodesic,
            relative to x.
        landing_error: |exp_x(v) - y| as measured, Euclidean, shape (*batch,).
        growth: growth of small errors along the geodesic, shape (*batch,): a relative error ε of
            v's direction moves the end by growth · ε · arc length.
        solution: the boundary value problem's solution.
        calls, score_evals: cost, the solution's included.
    """

    velocity: Float[Tensor, "*batch dim"]
    landing_error: Float[Tensor, "*batch"]
    growth: Float[Tensor, "*batch"]
    solution: Solution
    calls: int
    score_evals: int


def log(
    score_or_density: Score | Callable[[Tensor], Tensor],
    x: ArrayLike,
    y: ArrayLike,
    *,
    alpha: float = 1.0,
    manifold: Manifold | None = None,
    solver: BVPSolver[Any] | Shooting | None = None,
    integrator: Integrator | None = None,
    corrections: int = 3,
    landing: float = 1e-9,
    growth_limit: float = 1e4,
    starts: int = 1,
    throw: bool = False,
) -> Log:
    r"""The initial velocity of the geodesic from x to y, with the metric length as its norm.

    Solves the boundary value problem, reads the initial velocity off the path's nodes, and
    corrects it by Newton steps of single shooting where errors grow mildly. Then it is launched,
    and how far it lands from y is reported.

    Args:
        score_or_density, x, y, alpha, manifold, solver, starts, throw: as for
            :func:`diffusion_geodesics.geodesic`.
        integrator: of the corrections and of the launch; :class:`AdaptiveRungeKutta` by default,
            as for :func:`exp`.
        corrections: most Newton steps, 0 or more.
        landing: distance to y, relative to that of x and y, at which they end.
        growth_limit: growth of small errors above which none is tried.

    Raises:
        ValueError: bad shapes, values that are not finite, corrections below 0.
        GeodesicError: with ``throw``, where no geodesic was found.

    Cost: the solution's, and a few rays for each correction and for the launch; see
    ``score_evals``.
    """
    if corrections < 0:
        raise ValueError(f"corrections is {corrections}; expected 0 or more")
    solution = geodesic(
        score_or_density,
        x,
        y,
        alpha=alpha,
        manifold=manifold,
        solver=solver,
        starts=starts,
        throw=throw,
    )
    manifold = Flat() if manifold is None else manifold
    integrator = AdaptiveRungeKutta() if integrator is None else integrator
    ends = solution.path(torch.tensor([0.0, 1.0], dtype=torch.float64))
    batch, dim = ends.shape[1:-1], ends.shape[-1]
    start, end = ends.reshape(2, -1, dim)
    connection = Conformal(as_score(score_or_density), alpha, manifold)
    times = torch.linspace(0, 1, 33, dtype=torch.float64)
    arc = solution.path.arc_length()[-1].reshape(-1, 1)
    tangent = manifold.to_tangent(start, _initial_velocity(solution, manifold).reshape(-1, dim))
    norm = torch.linalg.vector_norm(tangent, dim=-1, keepdim=True)
    guess = Launch(start[None], (arc * tangent / norm.clamp_min(1e-30))[None])
    calibrated, spent = connection.calibrated(times, solution.path(times).reshape(33, -1, dim))
    shooting = Shooting(integrator=integrator, landing=landing, growth_limit=growth_limit)
    aim, hit = take_aim(calibrated, shooting, guess, end, max_steps=corrections)
    velocity = torch.where(hit[:, None], aim.launch.v[0], guess.v[0])
    length = torch.where(hit, aim.flight.length, solution.length.reshape(-1))[:, None]
    size = torch.linalg.vector_norm(velocity, dim=-1, keepdim=True)
    velocity = length * velocity / size.clamp_min(1e-30)
    ray = exp(
        score_or_density,
        start,
        velocity,
        alpha=alpha,
        manifold=manifold,
        integrator=integrator,
    )
    miss = torch.linalg.vector_norm(ray.end - end, dim=-1)
    return Log(
        velocity=velocity.reshape(*batch, dim),
        landing_error=miss.reshape(batch),
        growth=ray.growth.reshape(batch),
        solution=solution,
        calls=solution.calls + int(spent > 0) + aim.calls + ray.calls,
        score_evals=solution.score_evals + spent + aim.score_evals + ray.score_evals,
    )


def _initial_velocity(solution: Solution, manifold: Manifold) -> Tensor:
    """Derivative of the path at its start. On a sphere the nodes are first mapped to the tangent
    space there; six nodes, so its error is of order 5 in their distance."""
    h = 1 / 32
    nodes = solution.path(torch.arange(6, dtype=torch.float64) * h)
    offsets = torch.stack([space_form(manifold).log(nodes[0], node) for node in nodes])
    weights = torch.tensor([-137 / 60, 5, -5, 10 / 3, -5 / 4, 1 / 5], dtype=nodes.dtype) / h
    return torch.tensordot(weights.to(nodes), offsets, dims=1)
