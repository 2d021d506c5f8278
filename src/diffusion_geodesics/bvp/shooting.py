r"""Shooting: integrate rays from the start, and correct their initial velocities.

Newton's method (:mod:`diffusion_geodesics.bvp.newton_shooting`) solves the matching conditions: the
end of each ray must be the start of the next one, and the last end the target.

One segment is single shooting. It works while small errors of the initial velocity grow mildly:
where they grow by the factor G, Newton's method converges only from very near the solution. With K
segments errors grow by about :math:`G^{1/K}` along each. Shooting may also reach the target along a
geodesic longer than its initial path, which is reported as ``Result.not_shortest``.

References:
    Yu et al., CVPR 2025 (shooting, named as the alternative to relaxation).
    Keller, Numerical Solution of Two Point Boundary Value Problems, 1976.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from diffusion_geodesics.bvp.checks import is_longer
from diffusion_geodesics.bvp.euler_lagrange import evaluate, evaluate_ends
from diffusion_geodesics.bvp.level_loop import NO_GEODESIC
from diffusion_geodesics.bvp.multiple_shooting import ShootingNodes, integrate_segments
from diffusion_geodesics.bvp.newton_shooting import NewtonOptions, NewtonState, newton_shooting
from diffusion_geodesics.bvp.result import Result
from diffusion_geodesics.bvp.solution import UNRESOLVED, Solution
from diffusion_geodesics.bvp.solver import BoundaryProblem, BVPSolver, Control
from diffusion_geodesics.bvp.verification import error_bar, start_reports
from diffusion_geodesics.ivp import Integrator, IsokineticSplitting, Ray
from diffusion_geodesics.length import measure
from diffusion_geodesics.path import Spline


@dataclass(frozen=True)
class Shooting(BVPSolver):
    """Single or multiple shooting, for geometries that need a score only.

    ``max_steps`` counts Newton steps, whose residual is the largest defect of a matching condition
    relative to the distance of the end points. The first guess is read off the initial path.

    Args:
        segments: K ≥ 1; 1 is single shooting.
        integrator: of the rays; :class:`IsokineticSplitting` with 32 steps by default.
        intervals: intervals of the path that is returned, at least 4. Its residual is that of the
            second-order difference equation, so it decreases with their square.
        landing: largest defect of a matching condition at which a path is solved, relative to the
            distance of the end points; in float32 at least 1e-5.
        krylov: most rays to solve for one Newton step.
        growth_limit: growth of small errors along a segment above which a pair is refused.

    Raises:
        ValueError: a setting is out of range.

    Cost:
        A Newton step takes one ray from end to end (160 score evaluations by default) for each
        product, typically 1 to 5, and one for each step length tried. Two more rays give the path;
        ``intervals + 66`` score evaluations per pair its residual and its length, and 33 to 38 per
        initial path the length of that.
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

    def solve(self, problem: BoundaryProblem, control: Control) -> Solution:
        connection = problem.connection
        if not connection.scale_free:
            raise ValueError(
                f"Shooting got the connection {connection}, whose geometry depends on log p "
                "itself; expected one that a score is enough for. Use PreconditionedFlow."
            )
        starts, manifold = problem.starts, connection.manifold
        times = torch.linspace(0, 1, self.segments + 1, dtype=torch.float64)
        x, v = (torch.stack([p(times, order) for p in starts], 1) for order in (0, 1))
        batch, target = x.shape[2:-1], manifold.project(x[-1].flatten(0, -2))
        x, v, known = x[:-1].flatten(1, -2), v[:-1].flatten(1, -2), problem.nodes(16).flatten(1, -2)
        pairs = x.shape[1] // len(starts)
        index = torch.arange(x.shape[1], device=x.device) % pairs
        grid = torch.linspace(0, 1, len(known), dtype=torch.float64)
        calibrated, spent = connection.select(index).calibrated(grid, known)
        options = NewtonOptions(self.integrator, self.landing, self.krylov, self.growth_limit)
        guess = ShootingNodes(x, manifold.to_tangent(x, v))
        state, solved = newton_shooting(
            calibrated, options, guess, target, control.max_steps, control.report
        )
        reached = self._reached(state, solved)
        # Of the initial paths of each pair: the shortest that is solved, or else the first.
        length = torch.where(solved, state.defects.length, torch.inf).reshape(-1, pairs)
        chosen = length.argmin(0) * pairs + torch.arange(pairs, device=x.device)
        nodes, ray = self._path_nodes(problem, state, target, solved, chosen)
        evaluation = evaluate(connection, evaluate_ends(connection, nodes), nodes)
        curve = Spline(nodes.reshape(len(nodes), *batch, nodes.shape[-1]), manifold)
        profile = measure(connection, curve)
        error = error_bar(profile, evaluation.length.reshape(batch))
        ends = (y.flatten().repeat(len(starts)) for y in (profile.length, error))
        longer, batches, nfe = is_longer(calibrated, known, *ends)
        share = (error / profile.length.clamp_min(1e-30)).flatten()
        too_long = longer.reshape(-1, pairs).any(0)
        ended, residuals = (reached[i] for i in chosen.tolist()), evaluation.residual.tolist()
        judged = zip(ended, residuals, share.tolist(), too_long.tolist(), strict=True)
        residual = state.steps[-1].residual
        return Solution(
            path=curve,
            results=tuple(_final(r, x, share, far, control.tol) for r, x, share, far in judged),
            residual=evaluation.residual.reshape(batch),
            distance_error=error,
            lengths=profile,
            starts=start_reports(state.defects.length, residual, reached, batch),
            steps=state.steps,
            batches=state.batches + int(spent > 0) + ray.batches + 3 + batches,
            nfe=state.nfe + spent + ray.nfe + pairs * len(nodes) + profile.nfe + nfe,
            precision=connection.score.precision,
        )

    def _reached(self, state: NewtonState, solved: Tensor) -> tuple[Result, ...]:
        """How Newton's method ended for each initial path."""

        def result(done: bool, growth: float, defect: float) -> Result:
            if done:
                return Result.converged
            if growth > self.growth_limit:
                return Result.growth_too_large
            return Result.not_converged if defect < float("inf") else Result.non_finite

        known = solved.tolist(), state.growth.tolist(), state.defects.largest.tolist()
        return tuple(map(result, *known))

    def _path_nodes(
        self,
        problem: BoundaryProblem,
        state: NewtonState,
        target: Tensor,
        solved: Tensor,
        chosen: Tensor,
    ) -> tuple[Tensor, Ray]:
        """Equidistant nodes of the chosen paths, from the rays of the last iterate; of the initial
        paths where no path is solved."""
        nodes, target = state.nodes.take(chosen), target[chosen]
        _, ray = integrate_segments(problem.connection, self.integrator, nodes, target)
        segments, pairs, dim = nodes.x.shape
        each = -(-self.intervals // segments)
        local = ray.path(torch.linspace(0, 1, each + 1, dtype=torch.float64))
        local = local[:-1].reshape(each, segments, pairs, dim).transpose(0, 1)
        along = torch.cat([local.reshape(-1, pairs, dim), target[None]])
        times = torch.linspace(0, 1, len(along), dtype=torch.float64)
        initial = torch.stack([p(times) for p in problem.starts], 1).flatten(1, -2)[:, chosen]
        return torch.where(solved[chosen, None], along, initial), ray


def _final(
    result: Result, residual: float, relative_error: float, longer: bool, tol: float
) -> Result:
    """How a pair ended that reached its target: by its residual, the error bar of its length, and
    whether it is longer than an initial path."""
    if result is not Result.converged:
        return result
    if not residual <= NO_GEODESIC:
        return Result.not_converged
    if not relative_error <= UNRESOLVED:
        return Result.unresolved
    if longer:
        return Result.not_shortest
    return Result.converged if residual < tol else Result.length_converged
