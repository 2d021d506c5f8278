"""The one loop that drives every boundary value solver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import (
    Ends,
    Evaluation,
    error_bar,
    evaluate,
    evaluate_ends,
)
from diffusion_geodesics.bvp.solution import GeodesicError, Result, Solution, Start, Step
from diffusion_geodesics.bvp.solver import BVPSolver, Level, State
from diffusion_geodesics.length import measure
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Path, Spline

HOPELESS = 5e-2
"""Residual above which a curve at the step limit is no geodesic at all."""

SAME_LENGTH = 1e-4
"""Relative difference of length below which two starts are taken to have found one geodesic."""


def solve_bvp(
    connection: Connection,
    solver: BVPSolver[State],
    path: Path | Sequence[Path],
    *,
    tol: float = 1e-3,
    max_steps: int = 60,
    callback: Callable[[Step], None] | None = None,
    throw: bool = True,
) -> Solution:
    """Solve the boundary value problem between the ends of a path.

    Args:
        connection: the geometry.
        solver: how to move the nodes.
        path: the initial path, for one pair of points (shape (time, dim)) or a batch of pairs
            (time, *batch, dim). With several initial paths between the same points all are
            solved in one batch and the shortest solution of each pair is kept.
        tol: relative Euler-Lagrange residual to reach.
        max_steps: steps on the finest level.
        callback: called after every iteration, with progress; raise in it to cancel.
        throw: raise :class:`GeodesicError` where a pair ends without a geodesic.

    Raises:
        ValueError: tol not positive, or the paths differ in shape or in their ends.
        GeodesicError: no geodesic was found, and ``throw`` is true.

    Cost: 2 score evaluations a path for the ends, then intervals - 1 a step and path still
    active, one call a step for all of them, and 65 a pair for the verification pass.
    """
    if not tol > 0 or max_steps < 1:
        raise ValueError(f"tol is {tol} and max_steps {max_steps}; expected tol > 0, max_steps ≥ 1")
    starts = [path] if isinstance(path, Path) else list(path)
    if not starts:
        raise ValueError("got no initial path; expected one path or several")
    levels = list(solver.levels(tol, max_steps))
    times = torch.linspace(0, 1, levels[0].intervals + 1, dtype=torch.float64)
    initial = torch.stack([_same_ends(p(times), starts[0](times)) for p in starts], 1)
    batch = initial.shape[2:-1]
    nodes = initial.flatten(1, -2)
    pairs = nodes.shape[1] // len(starts)
    index = torch.arange(nodes.shape[1], device=nodes.device) % pairs
    march = _march(connection.select(index), solver, levels, nodes, callback)
    chosen = _shortest(march, len(starts), pairs)
    shape = (len(march.nodes), *batch, nodes.shape[-1])
    best = Spline(march.nodes[:, chosen].reshape(shape), connection.manifold)
    profile = measure(connection, best)
    finite = torch.isfinite(profile.length).flatten().tolist() or [True]
    picked = [march.results[int(i)] for i in chosen]
    results = tuple(
        r if good else Result.non_finite for r, good in zip(picked, finite, strict=True)
    )
    solution = Solution(
        path=best,
        results=results,
        residual=march.residual[chosen].reshape(batch),
        distance_error=error_bar(profile, march.length[chosen].reshape(batch)),
        profile=profile,
        starts=tuple(
            Start(
                march.length[i * pairs : (i + 1) * pairs].reshape(batch),
                march.residual[i * pairs : (i + 1) * pairs].reshape(batch),
                march.results[i * pairs : (i + 1) * pairs],
            )
            for i in range(len(starts))
        ),
        steps=march.steps,
        iterations=len(march.steps),
        calls=march.calls + 1,
        score_evals=march.score_evals + profile.score_evals,
    )
    if throw and not solution.result.ok:
        raise GeodesicError(solution)
    return solution


def _same_ends(nodes: Tensor, first: Tensor) -> Tensor:
    if nodes.shape != first.shape:
        raise ValueError(
            f"initial paths have shapes {tuple(nodes.shape[1:])} and {tuple(first.shape[1:])}; "
            "expected paths between the same points"
        )
    scale = first[[0, -1]].abs().max().clamp_min(1e-30)
    gap = (nodes[[0, -1]] - first[[0, -1]]).abs().max()
    if bool(gap > 1e-5 * scale):
        raise ValueError(
            f"initial paths end up to {float(gap):.2g} apart; expected the same end points"
        )
    return torch.cat([first[:1], nodes[1:-1], first[-1:]])


@dataclass(frozen=True)
class _March:
    nodes: Float[Tensor, "nodes paths dim"]
    residual: Float[Tensor, " paths"]
    length: Float[Tensor, " paths"]
    results: tuple[Result, ...]
    steps: tuple[Step, ...]
    calls: int
    score_evals: int


def _march(
    connection: Connection,
    solver: BVPSolver[State],
    levels: Sequence[Level],
    nodes: Tensor,
    callback: Callable[[Step], None] | None,
) -> _March:
    first = torch.linspace(0, 1, len(nodes), dtype=torch.float64)
    connection, score_evals = connection.calibrated(first, nodes)
    calls = int(score_evals > 0) + 1
    ends = evaluate_ends(connection, nodes)
    score_evals += 2 * nodes.shape[1]
    steps: list[Step] = []
    outcome = _Outcome.begin(nodes)
    for level in levels:
        if len(nodes) != level.intervals + 1:
            times = torch.linspace(0, 1, level.intervals + 1, dtype=torch.float64)
            finer = Spline(nodes, connection.manifold)(times)
            nodes = torch.cat([nodes[:1], finer[1:-1], nodes[-1:]])
        outcome = _Outcome.begin(nodes)
        active = torch.ones(nodes.shape[1], dtype=torch.bool, device=nodes.device)
        lengths: list[Tensor] = []
        state: State | None = None
        for step in range(level.max_steps + 1):
            evaluation = _evaluate_active(connection, ends, nodes, active)
            score_evals += int(active.sum()) * (len(nodes) - 2)
            calls += 1
            outcome = outcome.updated(evaluation, active)
            lengths.append(evaluation.length)
            steps.append(
                Step(
                    level.intervals,
                    len(steps) + 1,
                    torch.where(active, evaluation.residual, outcome.residual),
                    torch.where(active, evaluation.length, outcome.length),
                    score_evals,
                )
            )
            if callback is not None:
                callback(steps[-1])
            finite = torch.isfinite(evaluation.residual) & torch.isfinite(evaluation.length)
            met = active & finite & (evaluation.residual < level.residual)
            still = active & ~met & _settled(lengths, evaluation.residual, level.length_change)
            broken = active & ~finite
            outcome = outcome.ended(met, Result.converged)
            outcome = outcome.ended(still, Result.length_converged)
            outcome = outcome.ended(broken, Result.non_finite)
            active = active & ~met & ~still & ~broken
            if not bool(active.any()) or step == level.max_steps:
                break
            state = solver.init(evaluation) if state is None else state
            move, state = solver.move(connection, evaluation, state)
            moved = connection.manifold.project(nodes[1:-1] + move)
            inner = torch.where(active[:, None], moved, nodes[1:-1])
            nodes = torch.cat([nodes[:1], inner, nodes[-1:]])
        nodes = outcome.nodes
    return _March(
        nodes,
        outcome.residual,
        outcome.length,
        outcome.results(),
        tuple(steps),
        calls,
        score_evals,
    )


@dataclass(frozen=True)
class _Outcome:
    """The best curve of each path on the current level, and how it ended (-1: not yet)."""

    nodes: Tensor
    residual: Tensor
    length: Tensor
    code: Tensor

    @staticmethod
    def begin(nodes: Tensor) -> _Outcome:
        unknown = nodes.new_full((nodes.shape[1],), torch.inf)
        return _Outcome(nodes, unknown, unknown, torch.full_like(unknown, -1, dtype=torch.long))

    def updated(self, evaluation: Evaluation, active: Bool[Tensor, " paths"]) -> _Outcome:
        finite = torch.isfinite(evaluation.residual) & torch.isfinite(evaluation.length)
        where = active & finite & (evaluation.residual < self.residual)
        return _Outcome(
            torch.where(where[:, None], evaluation.nodes, self.nodes),
            torch.where(where, evaluation.residual, self.residual),
            torch.where(where, evaluation.length, self.length),
            self.code,
        )

    def ended(self, where: Bool[Tensor, " paths"], result: Result) -> _Outcome:
        return replace(self, code=torch.where(where, list(Result).index(result), self.code))

    def results(self) -> tuple[Result, ...]:
        known = list(Result)

        def name(code: int, residual: float) -> Result:
            if code >= 0:
                return known[code]
            return Result.not_converged if residual > HOPELESS else Result.max_steps

        return tuple(
            name(c, r) for c, r in zip(self.code.tolist(), self.residual.tolist(), strict=True)
        )


def _evaluate_active(
    connection: Connection, ends: Ends, nodes: Tensor, active: Tensor
) -> Evaluation:
    """Evaluate only the curves that still move; the others get residual NaN, unused."""
    if bool(active.all()):
        return evaluate(connection, ends, nodes)
    index = active.nonzero()[:, 0]
    part = evaluate(
        connection.select(index), Ends(ends.start[index], ends.end[index]), nodes[:, index]
    )

    def spread(x: Tensor, axis: int) -> Tensor:
        shape = list(x.shape)
        shape[axis] = len(active)
        return x.new_full(shape, torch.nan).index_copy(axis, index, x)

    field = part.field
    return Evaluation(
        nodes,
        spread(part.velocity, 1),
        type(field)(
            spread(field.score, 1),
            spread(field.acceleration, 1),
            spread(field.shift, 1),
            spread(field.advection, 1),
        ),
        spread(part.defect, 1),
        spread(part.residual, 0),
        spread(part.length, 0),
    )


def _settled(lengths: Sequence[Tensor], residual: Tensor, change: float) -> Tensor:
    if len(lengths) < 5:
        return torch.zeros_like(residual, dtype=torch.bool)
    last = torch.stack(list(lengths[-4:]))
    moved = (last[1:] - last[:-1]).abs().amax(0)
    change = max(change, 8 * torch.finfo(last.dtype).eps)
    return (residual < 0.1) & (moved < change * last[-1])


def _shortest(march: _March, starts: int, pairs: int) -> Tensor:
    """Of the starts of each pair: the shortest that is a geodesic, or else the best residual.
    Of those that are equally short, and so the same geodesic, the best residual as well."""
    good = torch.tensor([r.ok for r in march.results], device=march.nodes.device)
    length = torch.where(good, march.length, torch.inf).reshape(starts, pairs)
    residual = march.residual.reshape(starts, pairs)
    candidate = length <= length.amin(0) * (1 + SAME_LENGTH)
    pick = torch.where(candidate, residual, torch.inf).argmin(0)
    return pick * pairs + torch.arange(pairs, device=pick.device)
