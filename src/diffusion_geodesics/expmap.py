r"""The exponential map of a density's geometry, and its inverse.

With the density relative to its value at the start x, the metric at x is Euclidean. Then
:math:`\exp_x(v)` is the end of the geodesic that leaves x with velocity v and has metric length
|v|; :math:`\log_x(y)` is the shortest v with :math:`\exp_x(v) = y`, and |log_x(y)| is the length of
the geodesic from x to y.

References:
    do Carmo, Riemannian Geometry, 1992, chapter 3.
    Yu et al., CVPR 2025, section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_geodesics.bvp import BVPSolver, Solution
from diffusion_geodesics.bvp.multiple_shooting import ShootingNodes
from diffusion_geodesics.bvp.newton_shooting import NewtonOptions, newton_shooting
from diffusion_geodesics.density import Score, as_score
from diffusion_geodesics.geodesics import end_points, geodesic
from diffusion_geodesics.ivp import AdaptiveRungeKutta, AfterLength, Integrator, Ray, solve_ivp
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.manifold import Manifold, as_manifold, placed
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.points import ArrayLike, Points, Values, norm


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
        integrator: :class:`AdaptiveRungeKutta` by default. Integrators of fixed steps take steps
            of at most |v|/steps in Euclidean and in metric length.
        max_steps: steps after which the geodesic ends; towards high density it can be long.
        growth, error: as for :func:`diffusion_geodesics.ivp.solve_ivp`.

    Returns:
        A :class:`Ray`: ``ray.end`` is exp_x(v), ``ray.growth`` and ``ray.error`` estimate its
        error, ``ray.result`` says whether the length was reached.

    Raises:
        ValueError: shapes differ, or values are not finite.

    Cost: by default 13 to 30 steps of 12 score evaluations for the ray, as many for its companion
        in the same batches, and fewer for the error estimate: about 600 to 1000 per ray.
    """
    manifold = as_manifold(manifold)
    start, velocity = end_points(x, v)
    start = placed(start, manifold, "x")
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
        velocity: v with exp_x(v) = y; |v| is the length of the geodesic, relative to x.
        landing_error: measured Euclidean distance |exp_x(v) - y|.
        growth: growth of small errors along the geodesic: an error ε of the direction of v moves
            the end by growth · ε · arc length.
        solution: solution of the boundary value problem.
        batches, nfe: cost, including that of the solution.
    """

    velocity: Points
    landing_error: Values
    growth: Values
    solution: Solution
    batches: int
    nfe: int


def log(
    score_or_density: Score | Callable[[Tensor], Tensor],
    x: ArrayLike,
    y: ArrayLike,
    *,
    alpha: float = 1.0,
    manifold: Manifold | None = None,
    solver: BVPSolver | None = None,
    integrator: Integrator | None = None,
    corrections: int = 3,
    landing: float = 1e-9,
    growth_limit: float = 1e4,
    starts: int | None = None,
    throw: bool = False,
) -> Log:
    """The initial velocity of the geodesic from x to y, with the metric length as its norm.

    The boundary value problem is solved and the initial velocity read off the nodes of the path.
    Where errors grow mildly it is corrected by Newton steps of single shooting. Finally the ray
    with this velocity is integrated, and its distance to y reported.

    Args:
        score_or_density, x, y, alpha, manifold, solver, starts, throw: as for
            :func:`diffusion_geodesics.geodesic`; so are errors.
        integrator: of the corrections and of the final ray; :class:`AdaptiveRungeKutta` by
            default, as for :func:`exp`.
        corrections: most Newton steps, ≥ 0.
        landing: distance to y, relative to that of x and y, at which they end.
        growth_limit: growth of small errors above which no correction is tried.

    Cost: that of the solution, and a few rays for each correction and for the final ray; see
        ``nfe``.
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
    manifold = as_manifold(manifold)
    integrator = AdaptiveRungeKutta() if integrator is None else integrator
    connection = Conformal(as_score(score_or_density), alpha, manifold)
    options = NewtonOptions(integrator, landing, growth_limit=growth_limit)
    ends = solution.path(torch.tensor([0.0, 1.0], dtype=torch.float64))
    batch, dim = ends.shape[1:-1], ends.shape[-1]
    start, end = ends.reshape(2, -1, dim)
    velocity, cost = _corrected(connection, options, solution, start, end, corrections)
    ray = exp(
        score_or_density, start, velocity, alpha=alpha, manifold=manifold, integrator=integrator
    )
    miss = torch.linalg.vector_norm(ray.end - end, dim=-1)
    return Log(
        velocity=velocity.reshape(*batch, dim),
        landing_error=miss.reshape(batch),
        growth=ray.growth.reshape(batch),
        solution=solution,
        batches=solution.batches + cost[0] + ray.batches,
        nfe=solution.nfe + cost[1] + ray.nfe,
    )


def _corrected(
    connection: Conformal,
    options: NewtonOptions,
    solution: Solution,
    start: Tensor,
    end: Tensor,
    corrections: int,
) -> tuple[Tensor, tuple[int, int]]:
    """Initial velocities after Newton's corrections, with the metric lengths as their norms, and
    the batches and score evaluations spent."""
    manifold, dim = connection.manifold, start.shape[-1]
    times = torch.linspace(0, 1, 33, dtype=torch.float64)
    arc = solution.path.arc_length()[-1].reshape(-1, 1)
    tangent = manifold.to_tangent(start, _initial_velocity(solution, manifold).reshape(-1, dim))
    guess = ShootingNodes(start[None], (arc * tangent / norm(tangent).clamp_min(1e-30))[None])
    calibrated, spent = connection.calibrated(times, solution.path(times).reshape(33, -1, dim))
    state, solved = newton_shooting(
        calibrated, options, guess, end, max_steps=corrections, report=lambda step: None
    )
    velocity = torch.where(solved[:, None], state.nodes.v[0], guess.v[0])
    length = torch.where(solved, state.defects.length, solution.length.reshape(-1))[:, None]
    velocity = length * velocity / norm(velocity).clamp_min(1e-30)
    return velocity, (int(spent > 0) + state.batches, spent + state.nfe)


def _initial_velocity(solution: Solution, manifold: Manifold) -> Tensor:
    """Derivative of the path at its start, of order 5 in the distance of its nodes. On a sphere the
    nodes are first mapped to the tangent space there."""
    h = 1 / 32
    nodes = solution.path(torch.arange(6, dtype=torch.float64) * h)
    offsets = torch.stack([space_form(manifold).log(nodes[0], node) for node in nodes])
    weights = torch.tensor([-137 / 60, 5, -5, 10 / 3, -5 / 4, 1 / 5], dtype=nodes.dtype) / h
    return torch.tensordot(weights.to(nodes), offsets, dims=1)
