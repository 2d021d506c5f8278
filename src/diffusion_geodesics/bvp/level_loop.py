"""One level of a relaxation solver, for a batch of curves: evaluate, check, count, move."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import Evaluation, evaluate, evaluate_ends
from diffusion_geodesics.bvp.node_update import Level, NodeUpdate, State
from diffusion_geodesics.bvp.result import GivenUp, Result, Step
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Spline
from diffusion_geodesics.shapes import Nodes, PathValues

NO_GEODESIC = 5e-2
"""Residual above which a curve at the step limit is not a geodesic."""


@dataclass(frozen=True)
class LevelState:
    """A batch of curves after some levels, and what they cost."""

    connection: Connection  # the geometry of every curve, with its curvature known
    ends: Float[Tensor, "2 paths dim"]  # the score at both ends
    nodes: Nodes
    residual: PathValues  # of the kept iterates
    length: PathValues
    results: tuple[Result, ...]  # how the last level of each curve ended
    steps: tuple[Step, ...]  # these and the rest: over all levels
    given_up: tuple[GivenUp, ...]
    batches: int
    nfe: int


def initial_state(connection: Connection, nodes: Nodes) -> LevelState:
    """The state before the first level."""
    times = torch.linspace(0, 1, len(nodes), dtype=torch.float64)
    nodes = torch.cat([nodes[:1], connection.manifold.project(nodes[1:-1]), nodes[-1:]])
    connection, spent = connection.calibrated(times, nodes)
    paths = nodes.shape[1]
    unknown = nodes.new_full((paths,), torch.inf)
    results = (Result.not_converged,) * paths
    ends, batches, nfe = evaluate_ends(connection, nodes), int(spent > 0) + 1, spent + 2 * paths
    return LevelState(
        connection, ends, nodes, unknown, unknown, results, (), (), batches=batches, nfe=nfe
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
        better = active & _finite(evaluation) & (evaluation.residual < best.residual)
        best = best.replaced(evaluation, better)
        lengths.append(evaluation.length)
        iterates = [*iterates, nodes][-max(level.average_last, 1) :]
        shown = Step(
            level.intervals,
            len(state.steps) + 1,
            torch.where(active, evaluation.residual, best.residual),
            torch.where(active, evaluation.length, best.length),
            state.nfe,
        )
        state = replace(state, steps=(*state.steps, shown))
        report(shown)
        active, best = _ended(level, evaluation, active, best, lengths)
        if not bool(active.any()) or step == level.max_steps:
            break
        own = solver.init(evaluation) if own is None else own
        move, own = solver.move(state.connection, evaluation, own)
        still = active & (move == 0).all(-1).all(0)
        best = best.ended(still, Result.given_up)
        early = (still & ~(evaluation.residual < tol)).nonzero()[:, 0].tolist()
        new = (GivenUp(level.intervals, step, path) for path in early)
        state = replace(state, given_up=(*state.given_up, *new))
        active = active & ~still
        if not bool(active.any()):
            break
        moved = state.connection.manifold.project(nodes[1:-1] + move)
        inner = torch.where(active[:, None], moved, nodes[1:-1])
        nodes = torch.cat([nodes[:1], inner, nodes[-1:]])
    unmet = running & (best.code == -1)
    if level.average_last and bool(unmet.any()):
        # The mean of the last iterates in place of the best one, for curves that did not end.
        mean = state.connection.manifold.project(torch.stack(iterates).mean(0)[1:-1])
        nodes = torch.cat([nodes[:1], mean, nodes[-1:]])
        evaluation, state = _evaluated(state, solver, nodes, unmet)
        best = best.replaced(evaluation, unmet & _finite(evaluation))
    ran = enumerate(running.tolist())
    results = tuple(best.result(i, tol) if now else state.results[i] for i, now in ran)
    return replace(
        state, nodes=best.nodes, residual=best.residual, length=best.length, results=results
    )


def _finite(evaluation: Evaluation) -> Tensor:
    return torch.isfinite(evaluation.residual) & torch.isfinite(evaluation.length)


def _ended(
    level: Level, evaluation: Evaluation, active: Tensor, best: _Best, lengths: Sequence[Tensor]
) -> tuple[Tensor, _Best]:
    """The curves still active after an iterate, and how the others ended."""
    finite = _finite(evaluation)
    met = active & finite & (evaluation.residual < level.residual)
    still = active & ~met & _settled(lengths, evaluation.residual, level.length_change)
    broken = active & ~finite
    best = best.ended(met, Result.converged).ended(still, Result.length_converged)
    return active & ~met & ~still & ~broken, best.ended(broken, Result.non_finite)


def _settled(lengths: Sequence[Tensor], residual: Tensor, change: float) -> Tensor:
    """Where the residual is moderate and the length has hardly changed for 3 steps."""
    if len(lengths) < 5 or change <= 0:
        return torch.zeros_like(residual, dtype=torch.bool)
    last = torch.stack(list(lengths[-4:]))
    moved = last.diff(dim=0).abs().amax(0)
    change = max(change, 8 * torch.finfo(last.dtype).eps)
    return (residual < 0.1) & (moved < change * last[-1])


def _resampled(state: LevelState, level: Level) -> Tensor:
    nodes, manifold = state.nodes, state.connection.manifold
    if len(nodes) == level.intervals + 1:
        return nodes
    times = torch.linspace(0, 1, level.intervals + 1, dtype=torch.float64)
    inner = manifold.project(Spline(nodes, manifold)(times))[1:-1]
    return torch.cat([nodes[:1], inner, nodes[-1:]])


def _evaluated(
    state: LevelState, solver: NodeUpdate[State], nodes: Tensor, active: Tensor
) -> tuple[Evaluation, LevelState]:
    """Evaluate the active curves only (the others get NaN, unused), and count the cost."""
    connection, ends = state.connection, state.ends
    whole, index = bool(active.all()), active.nonzero()[:, 0]
    if not whole:
        connection, ends = connection.select(index), ends[:, index]
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
