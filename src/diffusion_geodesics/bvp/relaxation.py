"""Relaxation solvers: one loop over levels and steps that drives every node update."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion_geodesics.bvp.checks import SAME_LENGTH
from diffusion_geodesics.bvp.level_loop import LevelState, initial_state, run_level
from diffusion_geodesics.bvp.node_update import NodeUpdate, State
from diffusion_geodesics.bvp.problem import BoundaryProblem
from diffusion_geodesics.bvp.result import Result
from diffusion_geodesics.bvp.solution import Solution, is_resolved
from diffusion_geodesics.bvp.solver import BVPSolver, Control
from diffusion_geodesics.bvp.starts import all_starts, contenders
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
        still active, one batch per step for all of them, and 65 per pair for the verification.
        Of several initial paths only those that can still win go on to the finest level. Levels
        for unresolved lengths are paid for by those pairs alone, with another verification of
        129; a pair that seems longer than its initial path pays 33 to 38 to make sure. What a
        manifold such as a typical shell spends itself is added.
    """

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
        check = verify(connection, state, chosen, batch)
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
