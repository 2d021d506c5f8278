"""One level of a relaxation solver, for a batch of curves: evaluate, check, count, move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import Ends, Evaluation, evaluate, evaluate_ends
from diffusion_geodesics.bvp.node_update import Between, Level, NodeUpdate, State
from diffusion_geodesics.bvp.result import GivenUp, Result, Step
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Polyline, Spline

NO_GEODESIC = 5e-2
"""Residual above which a curve at the step limit is not a geodesic."""


@dataclass(frozen=True)
class LevelState:
    """A batch of curves after some levels, and what they cost."""

    connection: Connection  # the geometry of every curve, with its curvature known
    ends: Ends  # the score at both ends
    nodes: Float[Tensor, "nodes paths dim"]
    residual: Float[Tensor, " paths"]  # of the kept iterates
    length: Float[Tensor, " paths"]  # of the kept iterates
    results: tuple[Result, ...]  # how the last level of each curve ended
    steps: tuple[Step, ...]  # over all levels
    given_up: tuple[GivenUp, ...]  # over all levels
    batches: int  # over all levels
    nfe: int  # over all levels


def initial_state(connection: Connection, nodes: Float[Tensor, "nodes paths dim"]) -> LevelState:
    """The state before the first level."""
    times = torch.linspace(0, 1, len(nodes), dtype=torch.float64)
    nodes = torch.cat([nodes[:1], connection.manifold.project(nodes[1:-1]), nodes[-1:]])
    connection, spent = connection.calibrated(times, nodes)
    paths = nodes.shape[1]
    unknown = nodes.new_full((paths,), torch.inf)
    return LevelState(
        connection=connection,
        ends=evaluate_ends(connection, nodes),
        nodes=nodes,
        residual=unknown,
        length=unknown,
        results=(Result.not_converged,) * paths,
        steps=(),
        given_up=(),
        batches=int(spent > 0) + 1,
        nfe=spent + 2 * paths,
    )


@dataclass(frozen=True)
class _Best:
    """The iterate kept for each curve on a level, and how the curve ended (-1: not yet)."""

    nodes: Tensor
    residual: Tensor
    length: Tensor
    code: Tensor

    def replaced(self, evaluation: Evaluation, where: Tensor) -> _Best:
        return _Best(
            torch.where(where[:, None], evaluation.nodes, self.nodes),
            torch.where(where, evaluation.residual, self.residual),
            torch.where(where, evaluation.length, self.length),
            self.code,
        )

    def updated(self, evaluation: Evaluation, active: Tensor, level: Level) -> _Best:
        where = active & _finite(evaluation)
        if level.average_last != 1:
            where &= evaluation.residual < self.residual
        return self.replaced(evaluation, where)

    def ended(self, where: Bool[Tensor, " paths"], result: Result) -> _Best:
        return replace(self, code=torch.where(where, list(Result).index(result), self.code))

    def result(self, path: int, tol: float) -> Result:
        code, residual = int(self.code[path]), float(self.residual[path])
        known = Result.max_steps if code < 0 else list(Result)[code]
        if known in (Result.max_steps, Result.given_up):
            if residual < tol:
                return Result.converged
            if residual > NO_GEODESIC and known is Result.max_steps:
                return Result.not_converged
        return known


def run_level(
    state: LevelState,
    solver: NodeUpdate[State],
    level: Level,
    running: Bool[Tensor, " paths"],
    tol: float,
    report: Callable[[Step], None],
) -> LevelState:
    """Run one level."""
    nodes, active = _resampled(state, level), running
    unknown = torch.where(running, torch.inf, state.residual)
    best = _Best(nodes, unknown, state.length, torch.full_like(unknown, -1, dtype=torch.long))
    iterates: list[Tensor] = []
    lengths: list[Tensor] = []
    own: State | None = None
    for step in range(level.max_steps + 1):
        evaluation, state = _evaluated(state, solver, nodes, active)
        best = best.updated(evaluation, active, level)
        lengths.append(evaluation.length)
        iterates = [*iterates, nodes][-max(level.average_last, 1) :]
        state = _recorded(state, level, evaluation, active, best)
        report(state.steps[-1])
        active, best = _ended(level, evaluation, active, best, lengths)
        if not bool(active.any()) or step == level.max_steps:
            break
        own = solver.init(evaluation) if own is None else own
        move, own = solver.move(state.connection, evaluation, own)
        still = active & (move == 0).all(-1).all(0)
        best = best.ended(still, Result.given_up)
        state = _with_given_up(state, level, step, still & ~(evaluation.residual < tol))
        active = active & ~still
        if not bool(active.any()):
            break
        moved = state.connection.manifold.project(nodes[1:-1] + move)
        inner = torch.where(active[:, None], moved, nodes[1:-1])
        nodes = torch.cat([nodes[:1], inner, nodes[-1:]])
    best, state = _averaged(state, solver, level, best, running & (best.code == -1), iterates)
    results = (
        best.result(i, tol) if ran else state.results[i] for i, ran in enumerate(running.tolist())
    )
    return replace(
        state, nodes=best.nodes, residual=best.residual, length=best.length, results=tuple(results)
    )


def _finite(evaluation: Evaluation) -> Tensor:
    return torch.isfinite(evaluation.residual) & torch.isfinite(evaluation.length)


def _recorded(
    state: LevelState, level: Level, evaluation: Evaluation, active: Tensor, best: _Best
) -> LevelState:
    step = Step(
        level.intervals,
        len(state.steps) + 1,
        torch.where(active, evaluation.residual, best.residual),
        torch.where(active, evaluation.length, best.length),
        state.nfe,
    )
    return replace(state, steps=(*state.steps, step))


def _ended(
    level: Level, evaluation: Evaluation, active: Tensor, best: _Best, lengths: Sequence[Tensor]
) -> tuple[Tensor, _Best]:
    """The curves still active after an iterate, and how the others ended."""
    finite = _finite(evaluation)
    met = active & finite & (evaluation.residual < level.residual)
    still = active & ~met & _settled(lengths, evaluation.residual, level.length_change)
    broken = active & ~finite
    best = best.ended(met, Result.converged)
    best = best.ended(still, Result.length_converged)
    best = best.ended(broken, Result.non_finite)
    return active & ~met & ~still & ~broken, best


def _with_given_up(state: LevelState, level: Level, step: int, early: Tensor) -> LevelState:
    paths = early.nonzero()[:, 0].tolist()
    new = tuple(GivenUp(level.intervals, step, path) for path in paths)
    return replace(state, given_up=state.given_up + new)


def _averaged(
    state: LevelState,
    solver: NodeUpdate[State],
    level: Level,
    best: _Best,
    unmet: Tensor,
    iterates: Sequence[Tensor],
) -> tuple[_Best, LevelState]:
    """The mean of the last iterates in place of the best one, for curves that did not end."""
    if level.average_last <= 1 or not bool(unmet.any()):
        return best, state
    last = iterates[-1]
    mean = state.connection.manifold.project(torch.stack(list(iterates)).mean(0)[1:-1])
    nodes = torch.cat([last[:1], mean, last[-1:]])
    evaluation, state = _evaluated(state, solver, nodes, unmet)
    return best.replaced(evaluation, unmet & _finite(evaluation)), state


def _resampled(state: LevelState, level: Level) -> Tensor:
    nodes, manifold = state.nodes, state.connection.manifold
    if len(nodes) == level.intervals + 1:
        return nodes
    times = torch.linspace(0, 1, level.intervals + 1, dtype=torch.float64)
    if level.between is Between.segments:
        finer = manifold.project(Polyline(nodes)(times))
    else:
        finer = manifold.project(Spline(nodes, manifold)(times))
    return torch.cat([nodes[:1], finer[1:-1], nodes[-1:]])


def _evaluated(
    state: LevelState, solver: NodeUpdate[State], nodes: Tensor, active: Tensor
) -> tuple[Evaluation, LevelState]:
    """Evaluate the active curves only (the others get NaN, unused), and count the cost."""
    connection, ends = state.connection, state.ends
    whole = bool(active.all())
    index = active.nonzero()[:, 0]
    if not whole:
        connection, ends = connection.select(index), Ends(ends.start[index], ends.end[index])
    part = evaluate(connection, ends, nodes if whole else nodes[:, index])
    part = replace(part, residual=solver.residual(connection, part))
    nfe = state.nfe + len(index) * (len(nodes) - 2) * state.connection.evaluations
    state = replace(state, nfe=nfe, batches=state.batches + 1)
    return part if whole else replace(_spread(part, index, len(active)), nodes=nodes), state


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
