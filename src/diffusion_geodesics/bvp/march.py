"""One level of a boundary value solver, for a batch of curves: evaluate, judge, count, move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import Ends, Evaluation, evaluate, evaluate_ends
from diffusion_geodesics.bvp.solution import GivenUp, Result, Step
from diffusion_geodesics.bvp.solver import Between, BVPSolver, Level, State
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Polyline, Spline

HOPELESS = 5e-2
"""Residual above which a curve at the step limit is no geodesic at all."""


@dataclass(frozen=True)
class March:
    """Where a batch of curves stands after some levels, and what that took.

    Args:
        connection: the geometry of every curve, with what was learnt of its density.
        ends: the score at both ends.
        nodes: shape (n+1, paths, dim).
        residual, length: of the kept iterates, shape (paths,).
        results: how the last level of each curve ended.
        steps, given_up, calls, score_evals: over all levels.
    """

    connection: Connection
    ends: Ends
    nodes: Float[Tensor, "nodes paths dim"]
    residual: Float[Tensor, " paths"]
    length: Float[Tensor, " paths"]
    results: tuple[Result, ...]
    steps: tuple[Step, ...]
    given_up: tuple[GivenUp, ...]
    calls: int
    score_evals: int


def begin(connection: Connection, nodes: Float[Tensor, "nodes paths dim"]) -> March:
    """Before the first level. Cost: two score evaluations a path for the ends, and what the
    connection needs to know the curvature of its density."""
    times = torch.linspace(0, 1, len(nodes), dtype=torch.float64)
    nodes = torch.cat([nodes[:1], connection.manifold.project(nodes[1:-1]), nodes[-1:]])
    connection, spent = connection.calibrated(times, nodes)
    paths = nodes.shape[1]
    unknown = nodes.new_full((paths,), torch.inf)
    return March(
        connection,
        evaluate_ends(connection, nodes),
        nodes,
        unknown,
        unknown,
        (Result.not_converged,) * paths,
        (),
        (),
        int(spent > 0) + 1,
        spent + 2 * paths,
    )


@dataclass(frozen=True)
class _Kept:
    """The best iterate of each curve on a level, and how it ended (-1: not yet)."""

    nodes: Tensor
    residual: Tensor
    length: Tensor
    code: Tensor

    def with_iterate(self, evaluation: Evaluation, where: Tensor) -> _Kept:
        return _Kept(
            torch.where(where[:, None], evaluation.nodes, self.nodes),
            torch.where(where, evaluation.residual, self.residual),
            torch.where(where, evaluation.length, self.length),
            self.code,
        )

    def better(self, evaluation: Evaluation, active: Bool[Tensor, " paths"]) -> _Kept:
        where = active & _finite(evaluation) & (evaluation.residual < self.residual)
        return self.with_iterate(evaluation, where)

    def ended(self, where: Bool[Tensor, " paths"], result: Result) -> _Kept:
        return replace(self, code=torch.where(where, list(Result).index(result), self.code))

    def result(self, path: int, tol: float) -> Result:
        code, residual = int(self.code[path]), float(self.residual[path])
        known = Result.max_steps if code < 0 else list(Result)[code]
        if known in (Result.max_steps, Result.given_up):
            if residual < tol:
                return Result.converged
            if residual > HOPELESS and known is Result.max_steps:
                return Result.not_converged
        return known


def advance(
    march: March,
    solver: BVPSolver[State],
    level: Level,
    going: Bool[Tensor, " paths"],
    tol: float,
    callback: Callable[[Step], None] | None,
) -> March:
    """Take one level for the curves ``going``; the others only get its nodes.

    Cost: intervals - 1 score evaluations a step and curve still active, one call a step.
    """
    nodes = _resampled(march, level)
    unknown = torch.where(going, torch.inf, march.residual)
    kept = _Kept(nodes, unknown, march.length, torch.full_like(unknown, -1, dtype=torch.long))
    active, steps, given_up = going, list(march.steps), list(march.given_up)
    calls, score_evals = march.calls, march.score_evals
    iterates: list[Tensor] = []
    lengths: list[Tensor] = []
    state: State | None = None
    for step in range(level.max_steps + 1):
        evaluation = _evaluate_active(march, solver, nodes, active)
        score_evals += int(active.sum()) * (len(nodes) - 2) * march.connection.evaluations
        calls += 1
        finite = _finite(evaluation)
        if level.average_last == 1:
            kept = kept.with_iterate(evaluation, active & finite)
        else:
            kept = kept.better(evaluation, active)
        lengths.append(evaluation.length)
        iterates = [*iterates, nodes][-max(level.average_last, 1) :]
        steps.append(
            Step(
                level.intervals,
                len(steps) + 1,
                torch.where(active, evaluation.residual, kept.residual),
                torch.where(active, evaluation.length, kept.length),
                score_evals,
            )
        )
        if callback is not None:
            callback(steps[-1])
        met = active & finite & (evaluation.residual < level.residual)
        still = active & ~met & _settled(lengths, evaluation.residual, level.length_change)
        broken = active & ~finite
        kept = kept.ended(met, Result.converged)
        kept = kept.ended(still, Result.length_converged)
        kept = kept.ended(broken, Result.non_finite)
        active = active & ~met & ~still & ~broken
        if not bool(active.any()) or step == level.max_steps:
            break
        state = solver.init(evaluation) if state is None else state
        move, state = solver.move(march.connection, evaluation, state)
        stopped = active & (move == 0).all(-1).all(0)
        kept = kept.ended(stopped, Result.given_up)
        early = (stopped & ~(evaluation.residual < tol)).nonzero()[:, 0]
        given_up += [GivenUp(level.intervals, step, path) for path in early.tolist()]
        active = active & ~stopped
        if not bool(active.any()):
            break
        moved = march.connection.manifold.project(nodes[1:-1] + move)
        inner = torch.where(active[:, None], moved, nodes[1:-1])
        nodes = torch.cat([nodes[:1], inner, nodes[-1:]])
    unmet = going & (kept.code == -1)
    if level.average_last > 1 and bool(unmet.any()):
        evaluation = _evaluate_active(march, solver, _mean(march, iterates), unmet)
        score_evals += int(unmet.sum()) * (len(nodes) - 2) * march.connection.evaluations
        calls += 1
        kept = kept.with_iterate(evaluation, unmet & _finite(evaluation))
    results = tuple(
        kept.result(i, tol) if gone else march.results[i] for i, gone in enumerate(going.tolist())
    )
    return replace(
        march,
        nodes=kept.nodes,
        residual=kept.residual,
        length=kept.length,
        results=results,
        steps=tuple(steps),
        given_up=tuple(given_up),
        calls=calls,
        score_evals=score_evals,
    )


def _finite(evaluation: Evaluation) -> Tensor:
    return torch.isfinite(evaluation.residual) & torch.isfinite(evaluation.length)


def _resampled(march: March, level: Level) -> Tensor:
    nodes, manifold = march.nodes, march.connection.manifold
    if len(nodes) == level.intervals + 1:
        return nodes
    times = torch.linspace(0, 1, level.intervals + 1, dtype=torch.float64)
    if level.between is Between.segments:
        finer = manifold.project(Polyline(nodes)(times))
    else:
        finer = manifold.project(Spline(nodes, manifold)(times))
    return torch.cat([nodes[:1], finer[1:-1], nodes[-1:]])


def _mean(march: March, iterates: Sequence[Tensor]) -> Tensor:
    nodes = iterates[-1]
    mean = march.connection.manifold.project(torch.stack(list(iterates)).mean(0)[1:-1])
    return torch.cat([nodes[:1], mean, nodes[-1:]])


def _evaluate_active(
    march: March, solver: BVPSolver[State], nodes: Tensor, active: Tensor
) -> Evaluation:
    """Evaluate only the curves that still move; the others get NaN, unused."""
    connection, ends = march.connection, march.ends
    whole = bool(active.all())
    index = active.nonzero()[:, 0]
    if not whole:
        connection, ends = connection.select(index), Ends(ends.start[index], ends.end[index])
    part = evaluate(connection, ends, nodes if whole else nodes[:, index])
    part = replace(part, residual=solver.residual(connection, part))
    return part if whole else replace(_spread(part, index, len(active)), nodes=nodes)


def _spread(part: Any, index: Tensor, paths: int) -> Any:
    """A record of tensors for all curves from one for some; the curves' axis is the last but one,
    or the last where there is no axis of coordinates."""

    def wider(x: Any) -> Any:
        if is_dataclass(x):
            return _spread(x, index, paths)
        axis = 0 if x.ndim == 1 else 1
        shape = list(x.shape)
        shape[axis] = paths
        return x.new_full(shape, torch.nan).index_copy(axis, index, x)

    return replace(part, **{f.name: wider(getattr(part, f.name)) for f in fields(part)})


def _settled(lengths: Sequence[Tensor], residual: Tensor, change: float) -> Tensor:
    if len(lengths) < 5 or change <= 0:
        return torch.zeros_like(residual, dtype=torch.bool)
    last = torch.stack(list(lengths[-4:]))
    moved = (last[1:] - last[:-1]).abs().amax(0)
    change = max(change, 8 * torch.finfo(last.dtype).eps)
    return (residual < 0.1) & (moved < change * last[-1])
