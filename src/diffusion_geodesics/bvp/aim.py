r"""Newton's method on the matching conditions of multiple shooting.

The derivative of the conditions (:mod:`diffusion_geodesics.bvp.matching`) is never formed. Its
products are differences of rays, all segments in one batch, and GMRES with the approximate inverse
solves for the step, so that the number of rays depends on how many directions of space bend
differently, and not on the dimension. Steps are halved until they help.

References
----------
Knoll, Keyes, J. Comput. Phys. 2004 (Newton-Krylov). Deuflhard, Newton Methods for Nonlinear
Problems, 2004 (natural level functions).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.bvp.krylov import gmres
from diffusion_geodesics.bvp.matching import Flight, Launch, approximate_inverse, fly
from diffusion_geodesics.bvp.solution import Step
from diffusion_geodesics.ivp import Integrator, IsokineticSplitting
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import separation

HALVINGS = 6
"""Times a Newton step is halved before it is given up."""

FORCING = 1e-3
"""Relative residual to which the linear system of a Newton step is solved."""


@dataclass(frozen=True)
class Shooting:
    """Single or multiple shooting, for ``geodesic(..., solver=Shooting())``.

    Args:
        segments: K ≥ 1; 1 is single shooting.
        integrator: of the rays; :class:`IsokineticSplitting` with 32 steps by default.
        intervals: intervals of the path that is returned, at least 4. Its residual is that of the
            second-order difference equation, so it falls with their square.
        landing: largest miss of a matching condition, relative to the distance of the end points;
            in float32 at least 1e-5.
        krylov: most rays to solve for one Newton step.
        growth_limit: growth of small errors along a segment above which a pair is refused.

    Cost: a Newton step takes one ray from end to end (160 score evaluations by default) for each
    product, typically 1 to 5, and one for each step length tried.
    """

    segments: int = 1
    integrator: Integrator = field(default_factory=IsokineticSplitting)
    intervals: int = 64
    landing: float = 1e-8
    krylov: int = 20
    growth_limit: float = 1e4

    def __post_init__(self) -> None:
        if self.segments < 1 or self.intervals < 4 or self.krylov < 1:
            raise ValueError(
                f"segments is {self.segments}, intervals {self.intervals} and krylov "
                f"{self.krylov}; expected at least 1, 4 and 1"
            )
        if not (self.landing > 0 and self.growth_limit > 1):
            raise ValueError(
                f"landing is {self.landing} and growth_limit {self.growth_limit}; expected "
                "landing > 0 and growth_limit > 1"
            )


@dataclass(frozen=True)
class Aim:
    """Newton's method at some iterate.

    Args:
        launch: starts of the segments.
        flight: what their rays miss by.
        growth: largest growth factor of a segment along the first guess, shape (paths,).
        steps: Newton steps so far; residuals are misses relative to the distance of the ends.
        calls, score_evals: cost so far.
    """

    launch: Launch
    flight: Flight
    growth: Float[Tensor, " paths"]
    steps: tuple[Step, ...]
    calls: int
    score_evals: int


def take_aim(
    connection: Connection,
    shooting: Shooting,
    launch: Launch,
    target: Float[Tensor, "paths dim"],
    *,
    max_steps: int,
    callback: Callable[[Step], None] | None = None,
) -> tuple[Aim, Bool[Tensor, " paths"]]:
    """Newton's method from a first guess of the starts, until every path hits or is stuck.

    Returns:
        The last iterate, and which paths hit.

    Cost: see :class:`Shooting`.
    """
    span = separation(launch.x[0], target, connection.manifold).clamp_min(1e-30)
    landing = max(shooting.landing, 100 * torch.finfo(target.dtype).eps)
    flight, ray = fly(connection, shooting.integrator, launch, target, growth=True)
    growth = ray.growth.reshape(shooting.segments, -1).amax(0)
    aim = Aim(launch, flight, growth, (), ray.calls, ray.score_evals)
    active = torch.isfinite(flight.miss) & (growth <= shooting.growth_limit)
    for number in range(max_steps + 1):
        miss = aim.flight.miss / span
        step = Step(shooting.segments, number + 1, miss, aim.flight.length, aim.score_evals)
        aim = replace(aim, steps=(*aim.steps, step))
        if callback is not None:
            callback(step)
        active = active & (miss > landing)
        rows = active.nonzero()[:, 0]
        if not len(rows) or number == max_steps:
            break
        aim, improved = _newton_step(connection, shooting, aim, target, rows)
        active = active.index_copy(0, rows, improved)
    return aim, aim.flight.miss <= landing * span


def _newton_step(
    connection: Connection, shooting: Shooting, aim: Aim, target: Tensor, rows: Tensor
) -> tuple[Aim, Tensor]:
    """One step of the paths ``rows``, halved until it helps, and which of them it helped."""
    manifold, part = connection.manifold, connection.select(rows)
    launch, flight, goal = aim.launch.take(rows), aim.flight.take(rows), target[rows]
    calls, score_evals = aim.calls + 1, aim.score_evals + len(rows) * shooting.segments
    inverse = approximate_inverse(part, launch, flight, goal)
    shape = flight.defect.shape
    size = separation(launch.x[0], goal, manifold).clamp_min(1e-30)
    reach = torch.finfo(goal.dtype).eps ** (1 / 3) * size

    def wide(flat: Tensor) -> Tensor:
        return flat.reshape(shape[1], shape[0], shape[2]).transpose(0, 1)

    def narrow(x: Tensor) -> Tensor:
        return x.transpose(0, 1).reshape(shape[1], -1)

    def product(y: Tensor) -> Tensor:
        nonlocal calls, score_evals
        step = inverse(wide(y))
        scale = reach / step.square().sum(-1).sum(0).sqrt().clamp_min(1e-30)
        moved = launch.moved(manifold, scale[:, None] * step)
        other, ray = fly(part, shooting.integrator, moved, goal)
        calls, score_evals = calls + ray.calls, score_evals + ray.score_evals
        change = (other.defect - flight.defect) / scale[:, None]
        return narrow(manifold.to_tangent(inverse.goals, change))

    def size_of(some: Flight) -> Tensor:
        """What a flight misses by, as the step that would mend it: a measure that does not
        depend on how conditions are scaled (Deuflhard's natural level function)."""
        return torch.linalg.vector_norm(narrow(inverse(some.defect)), dim=-1)

    solved, _ = gmres(product, narrow(-flight.defect), tol=FORCING, max_products=shooting.krylov)
    step = inverse(wide(solved))
    improved = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
    for halving in range(HALVINGS + 1):
        left = (~improved).nonzero()[:, 0]
        scale = 0.5**halving
        tried = launch.take(left).moved(manifold, scale * step[:, left])
        other, ray = fly(part.select(left), shooting.integrator, tried, goal[left])
        calls, score_evals = calls + ray.calls, score_evals + ray.score_evals
        whole = flight.put(left, other)
        better = (size_of(whole) < (1 - 1e-4 * scale) * size_of(flight))[left]
        good = better.nonzero()[:, 0]
        launch = launch.put(left[good], tried.take(good))
        flight = flight.put(left[good], other.take(good))
        improved = improved.index_fill(0, left[good], True)
        if bool(improved.all()):
            break
    aim = replace(
        aim,
        launch=aim.launch.put(rows, launch),
        flight=aim.flight.put(rows, flight),
        calls=calls,
        score_evals=score_evals,
    )
    return aim, improved
