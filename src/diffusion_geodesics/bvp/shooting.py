r"""Shooting: launch rays, and correct what they miss the target by.

Newton's method (:mod:`diffusion_geodesics.bvp.aim`) on the matching conditions: the end of
each ray must be the start of the next one, and the last end the target.

One segment is single shooting. It works while small errors of the initial velocity grow mildly;
where they grow by the factor G, the last digits of float64 already miss by :math:`10^{-16} G`, and
Newton's method converges from nowhere but the solution itself. K segments grow by about
:math:`G^{1/K}` each. It can also hit the target by a geodesic that is far longer than the shortest;
one that is longer than its initial path is reported as ``Result.not_shortest``.

References
----------
Yu et al., CVPR 2025 (shooting, named as the alternative to relaxation). Keller, Numerical Solution
of Two Point Boundary Value Problems, 1976.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from diffusion_geodesics.bvp.aim import Aim, Shooting, take_aim
from diffusion_geodesics.bvp.euler_lagrange import error_bar, evaluate, evaluate_ends
from diffusion_geodesics.bvp.march import HOPELESS
from diffusion_geodesics.bvp.matching import Launch, fly
from diffusion_geodesics.bvp.shortest import is_longer
from diffusion_geodesics.bvp.solution import (
    UNRESOLVED,
    GeodesicError,
    Result,
    Solution,
    Start,
    Step,
)
from diffusion_geodesics.ivp import Ray
from diffusion_geodesics.length import measure
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Path, Spline

__all__ = ["Shooting", "solve_by_shooting"]


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
    ``intervals + 66`` score evaluations a pair for its residual and its length, and 33 to 38 a
    start for the length of the initial path.
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
    guess = torch.linspace(0, 1, 17, dtype=torch.float64)
    known = torch.stack([p(guess) for p in starts], 1).flatten(1, -2)
    every, spent = every.calibrated(guess, known)
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
    ends = (x.flatten().repeat(len(starts)) for x in (profile.length, error))
    longer, known_calls, known_evals = is_longer(every, known, *ends)
    verdicts = tuple(
        _verdict(results[start], residual, tol, share, worse)
        for start, residual, share, worse in zip(
            chosen.tolist(),
            evaluation.residual.tolist(),
            (error / profile.length.clamp_min(1e-30)).flatten().tolist(),
            longer.reshape(-1, pairs).any(0).tolist(),
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
        calls=aim.calls + int(spent > 0) + flown.calls + 3 + known_calls,
        score_evals=aim.score_evals
        + spent
        + flown.score_evals
        + pairs * len(nodes)
        + profile.score_evals
        + known_evals,
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


def _verdict(result: Result, residual: float, tol: float, share: float, longer: bool) -> Result:
    """Of a path that hits, by its residual, the relative error bar of its length, and whether it
    is longer than an initial path."""
    if result is not Result.converged:
        return result
    if not residual <= HOPELESS:
        return Result.not_converged
    if not share <= UNRESOLVED:
        return Result.unresolved
    if longer:
        return Result.not_shortest
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
