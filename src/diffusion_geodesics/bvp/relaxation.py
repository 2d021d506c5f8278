r"""Relaxation solvers: one loop over levels and steps that drives every node update.

Of several initial paths most lead to the same few geodesics, and a coarse level already shows which
is the shortest. After it a start goes on only if its curve differs from the shortest geodesic found
and is not much longer. Of starts whose curves coincide one goes on, and the others take over its
outcome; a start that is left because it is longer ends as ``Result.not_shortest``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from diffusion_geodesics.bvp.checks import SAME_LENGTH
from diffusion_geodesics.bvp.level_loop import LevelState, initial_state, run_level
from diffusion_geodesics.bvp.node_update import NodeUpdate, State
from diffusion_geodesics.bvp.result import Result
from diffusion_geodesics.bvp.solution import Solution, is_resolved
from diffusion_geodesics.bvp.solver import BoundaryProblem, BVPSolver, Control
from diffusion_geodesics.bvp.verification import (
    Verification,
    final_results,
    mark_longer,
    solution,
    start_reports,
    verify,
    verify_again,
)
from diffusion_geodesics.metric import Connection


class RelaxationSolver(BVPSolver, NodeUpdate[State]):
    """A solver that moves the nodes of a curve until a residual is small.

    To add one, derive from this class and write :meth:`levels`, :meth:`init` and :meth:`move`; a
    solver that looks for another kind of curve than a geodesic also writes :meth:`residual` and
    :attr:`seeks_geodesics`.

    Cost:
        2 score evaluations per initial path for the ends, then intervals - 1 per step and path
        still active, one batch per step for all of them, and ``verification`` + 1, 65 unless
        asked otherwise, per pair for the verification.
        Of several initial paths only those that can still win go on to the finest level. Levels
        for unresolved lengths are paid for by those pairs alone, with another verification of
        129; a pair that seems longer than its initial path pays 33 to 38 to make sure. What a
        manifold such as a typical shell spends itself is added.
    """

    verification: int = 64
    """Chebyshev intervals at which solutions are measured."""

    def solve(self, problem: BoundaryProblem, control: Control) -> Solution:
        connection = problem.connection
        levels = list(self.levels(control.tol, control.max_steps))
        initial = problem.nodes(levels[0].intervals)
        batch, starts = initial.shape[2:-1], initial.shape[1]
        nodes = initial.flatten(1, -2)
        pairs = nodes.shape[1] // starts
        index = torch.arange(nodes.shape[1], device=nodes.device) % pairs
        before = connection.manifold.spent
        state = first = initial_state(connection.select(index), nodes)
        field = all_starts(index, pairs)
        *coarse, finest = (level for level in levels if not level.if_unresolved)
        for level in coarse:
            state = run_level(state, self, level, field.running, control.tol, control.report)
            if starts > 1 and self.seeks_geodesics:
                state, field = contenders(state, field)
        state = run_level(state, self, finest, field.running, control.tol, control.report)
        state = field.merged(state)
        reports = start_reports(state.length, state.residual, state.results, batch)
        chosen = _shortest(state, starts, pairs)
        check = verify(connection, state, chosen, batch, self.verification)
        state, check = self._refined(connection, state, chosen, check, control)
        results = final_results(state, chosen, check)
        if self.seeks_geodesics:
            results, check = mark_longer(connection, first, state, results, check)
        return solution(connection, state, chosen, results, check, reports, before)

    def _refined(
        self,
        connection: Connection,
        state: LevelState,
        chosen: Tensor,
        check: Verification,
        control: Control,
    ) -> tuple[LevelState, Verification]:
        """Run the further levels for pairs whose length is not resolved yet."""
        levels = self.levels(control.tol, control.max_steps)
        for level in (level for level in levels if level.if_unresolved):
            unresolved = (~is_resolved(check.error, check.profile.length)).flatten()
            usable = [state.results[i].ok for i in chosen.tolist()]
            again = (unresolved & torch.tensor(usable, device=chosen.device)).nonzero()[:, 0]
            if not len(again):
                break
            running = torch.zeros_like(state.residual, dtype=torch.bool)
            running[chosen[again]] = True
            state = run_level(state, self, level, running, control.tol, control.report)
            check = verify_again(connection, state, chosen, again, check)
        return state, check


def _shortest(state: LevelState, starts: int, pairs: int) -> Tensor:
    """Of the initial paths of each pair: the shortest solution that is a geodesic, or else the one
    with the smallest residual. Of equally short ones, which are the same geodesic, also the one
    with the smallest residual. Those that were left at a coarse level do not count."""
    good = torch.tensor([r.ok for r in state.results], device=state.nodes.device)
    left = [r is Result.not_shortest for r in state.results]
    length = torch.where(good, state.length, torch.inf).reshape(starts, pairs)
    residual = torch.where(torch.tensor(left, device=good.device), torch.inf, state.residual)
    residual = residual.reshape(starts, pairs)
    candidate = length <= length.amin(0) * (1 + SAME_LENGTH)
    pick = torch.where(candidate, residual, torch.inf).argmin(0)
    return pick * pairs + torch.arange(pairs, device=pick.device)


MARGIN = 0.2
"""How much longer than the shortest geodesic, relatively, a curve may be at a coarse level to go
on; above the errors of coarse lengths."""

SAME_CURVE = 0.02
"""Largest distance of the nodes of two curves, over their length, at which they are the same."""


@dataclass(frozen=True)
class Contenders:
    """The initial paths that are still being solved."""

    running: Bool[Tensor, " paths"]  # which paths go on
    follows: Int[Tensor, " paths"]  # the path whose outcome each path shares; itself for most
    pairs: int  # number of pairs; path = start * pairs + pair

    def merged(self, state: LevelState) -> LevelState:
        """The state with the outcome of every path that follows another."""
        path = self.follows
        return replace(
            state,
            nodes=state.nodes[:, path],
            residual=state.residual[path],
            length=state.length[path],
            results=tuple(state.results[i] for i in path.tolist()),
        )


def all_starts(index: Int[Tensor, " paths"], pairs: int) -> Contenders:
    """Every path, before the first level."""
    everything = torch.arange(len(index), device=index.device)
    return Contenders(torch.ones_like(index, dtype=torch.bool), everything, pairs)


def contenders(state: LevelState, before: Contenders) -> tuple[LevelState, Contenders]:
    """Choose the paths that go on after a coarse level."""
    pairs, nodes = before.pairs, state.nodes
    good = torch.tensor([r.ok for r in state.results], device=nodes.device) & before.running
    length = torch.where(good, state.length, torch.inf).reshape(-1, pairs)
    best = length.argmin(0) * pairs + torch.arange(pairs, device=nodes.device)
    known, best = (x.repeat(len(length)) for x in (torch.isfinite(length.amin(0)), best))
    itself = best == torch.arange(len(best), device=best.device)
    span = torch.linalg.vector_norm(nodes[1:] - nodes[:-1], dim=-1).sum(0)[best]
    gap = torch.linalg.vector_norm(nodes - nodes[:, best], dim=-1).amax(0)
    rival = before.running & known & ~itself
    same = rival & (gap <= SAME_CURVE * span)
    longer = rival & ~same & ~(state.length <= state.length[best] * (1 + MARGIN))
    marks = zip(state.results, longer.tolist(), strict=True)
    results = tuple(Result.not_shortest if left else result for result, left in marks)
    follows = torch.where(same, best, before.follows)
    running = before.running & ~same & ~longer
    # Whoever followed a path that now follows another goes along.
    return replace(state, results=results), Contenders(running, follows[follows], pairs)
