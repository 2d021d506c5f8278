r"""Shooting: launch rays, and correct what they miss the target by.

Newton's method on the matching conditions of :mod:`diffusion_geodesics.bvp.matching`: the end of
each ray must be the start of the next one, and the last end the target. The derivative of the
conditions is never formed. Its products are differences of rays, all segments in one batch, and
GMRES with the approximate inverse solves for the step, so that the number of rays depends on how
many directions of space bend differently, and not on the dimension.

One segment is single shooting. It works while small errors of the initial velocity grow mildly;
where they grow by the factor G, the last digits of float64 already miss by :math:`10^{-16} G`, and
Newton's method converges from nowhere but the solution itself. K segments grow by about
:math:`G^{1/K}` each.

References
----------
Yu et al., CVPR 2025 (shooting, named as the alternative to relaxation). Keller, Numerical Solution
of Two Point Boundary Value Problems, 1976. Knoll, Keyes, J. Comput. Phys. 2004 (Newton-Krylov).
Deuflhard, Newton Methods for Nonlinear Problems, 2004 (natural level functions).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import error_bar, evaluate, evaluate_ends
from diffusion_geodesics.bvp.krylov import gmres
from diffusion_geodesics.bvp.march import HOPELESS
from diffusion_geodesics.bvp.matching import Flight, Launch, approximate_inverse, fly
from diffusion_geodesics.bvp.solution import (
    UNRESOLVED,
    GeodesicError,
    Result,
    Solution,
    Start,
    Step,
)
from diffusion_geodesics.ivp import Integrator, IsokineticSplitting, Ray
from diffusion_geodesics.length import measure
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Path, Spline, separation

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


def solve_by_shooting(
    connection: Connection,
    shooting: Shooting,
    path: Path | Sequence[Path],
    *,
    tol: float = 1e-3,
    max_steps: int = 60,
    callback: Callable[[Step], None] | None = None,
    throw: bool = True,
) -> Solution:
    """Solve the boundary value problem between the ends of a path by shooting.

    Arguments and errors are those of :func:`diffusion_geodesics.bvp.solve_bvp`; ``max_steps``
    counts Newton steps, and the first guess of the segments' starts is read off the path. A
    :class:`Step` reports, as its residual, the largest miss relative to the distance of the end
    points.

    Raises:
        ValueError: besides, a connection whose geometry depends on log p itself.

    Cost: see :class:`Shooting`; one more flight with its companions for the path, and
    ``intervals + 66`` score evaluations a pair for its residual and its length.
    """
    if not tol > 0 or max_steps < 1:
        raise ValueError(f"tol is {tol} and max_steps {max_steps}; expected tol > 0, max_steps ≥ 1")
    if not connection.scale_free:
        raise ValueError(
            f"Shooting got the connection {connection}, whose geometry depends on log p itself; "
            "expected one that a score is enough for. Use PreconditionedFlow."
        )
    starts = [path] if isinstance(path, Path) else list(path)
    if not starts:
        raise ValueError("got no initial path; expected one path or several")
    times = torch.linspace(0, 1, shooting.segments + 1, dtype=torch.float64)
    batch = starts[0](times).shape[1:-1]
    x, v = (torch.stack([p(times, order) for p in starts], 1).flatten(1, -2) for order in (0, 1))
    pairs = x.shape[1] // len(starts)
    index = torch.arange(x.shape[1], device=x.device) % pairs
    every = connection.select(index)
    guess = torch.linspace(0, 1, 9, dtype=torch.float64)
    nodes = torch.stack([p(guess) for p in starts], 1).flatten(1, -2)
    every, spent = every.calibrated(guess, nodes)
    target = connection.manifold.project(x[-1])
    launch = Launch(x[:-1], connection.manifold.to_tangent(x[:-1], v[:-1]))
    aim, hit = take_aim(every, shooting, launch, target, max_steps=max_steps, callback=callback)
    results = _results(shooting, aim, hit)
    chosen = _shortest(aim, hit, pairs)
    nodes, flown = _nodes(connection, shooting, aim, hit, starts, chosen, target)
    evaluation = evaluate(connection, evaluate_ends(connection, nodes), nodes)
    curve = Spline(nodes.reshape(len(nodes), *batch, nodes.shape[-1]), connection.manifold)
    profile = measure(connection, curve)
    error = error_bar(profile, evaluation.length.reshape(batch))
    verdicts = tuple(
        _verdict(results[start], residual, tol, share)
        for start, residual, share in zip(
            chosen.tolist(),
            evaluation.residual.tolist(),
            (error / profile.length.clamp_min(1e-30)).flatten().tolist(),
            strict=True,
        )
    )
    solution = Solution(
        path=curve,
        results=verdicts,
        residual=evaluation.residual.reshape(batch),
        distance_error=error,
        profile=profile,
        starts=tuple(
            Start(
                aim.flight.length[i : i + pairs].reshape(batch),
                aim.steps[-1].residual[i : i + pairs].reshape(batch),
                results[i : i + pairs],
            )
            for i in range(0, len(results), pairs)
        ),
        steps=aim.steps,
        iterations=len(aim.steps),
        calls=aim.calls + int(spent > 0) + flown.calls + 3,
        score_evals=aim.score_evals
        + spent
        + flown.score_evals
        + pairs * len(nodes)
        + profile.score_evals,
        precision=connection.score.precision,
    )
    if throw and not solution.result.ok:
        raise GeodesicError(solution)
    return solution


def _results(shooting: Shooting, aim: Aim, hit: Tensor) -> tuple[Result, ...]:
    def result(hits: bool, growth: float, miss: float) -> Result:
        if hits:
            return Result.converged
        if growth > shooting.growth_limit:
            return Result.growth_too_large
        return Result.not_converged if miss < float("inf") else Result.non_finite

    known = hit.tolist(), aim.growth.tolist(), aim.flight.miss.tolist()
    return tuple(result(*each) for each in zip(*known, strict=True))


def _verdict(result: Result, residual: float, tol: float, share: float) -> Result:
    """Of a path that hits, by its residual and the relative error bar of its length."""
    if result is not Result.converged:
        return result
    if not residual <= HOPELESS:
        return Result.not_converged
    if not share <= UNRESOLVED:
        return Result.unresolved
    return Result.converged if residual < tol else Result.length_converged


def _shortest(aim: Aim, hit: Tensor, pairs: int) -> Tensor:
    """Of the starts of each pair: the shortest that hits, or else the first."""
    length = torch.where(hit, aim.flight.length, torch.inf).reshape(-1, pairs)
    return length.argmin(0) * pairs + torch.arange(pairs, device=hit.device)


def _nodes(
    connection: Connection,
    shooting: Shooting,
    aim: Aim,
    hit: Tensor,
    starts: Sequence[Path],
    chosen: Tensor,
    target: Tensor,
) -> tuple[Tensor, Ray]:
    """Equidistant nodes of the chosen paths, from one more flight; of the initial paths where
    none hits."""
    launch = aim.launch.take(chosen)
    _, ray = fly(connection, shooting.integrator, launch, target[chosen])
    segments, pairs, dim = launch.x.shape
    each = -(-shooting.intervals // segments)
    local = ray.path(torch.linspace(0, 1, each + 1, dtype=torch.float64))
    local = local[:-1].reshape(each, segments, pairs, dim).transpose(0, 1)
    flown = torch.cat([local.reshape(-1, pairs, dim), target[None, chosen]])
    times = torch.linspace(0, 1, len(flown), dtype=torch.float64)
    initial = torch.stack([p(times) for p in starts], 1).flatten(1, -2)[:, chosen]
    return torch.where(hit[chosen, None], flown, initial), ray
