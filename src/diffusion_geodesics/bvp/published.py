r"""The boundary value algorithm of the paper, as its authors' code runs it.

Bisection: level k has the control points :math:`i / 2^k`, new ones on the segments (lerp, or slerp
on the sphere) between the nodes known so far, at first the ends. In iteration i, over all levels,
the n control points move by

.. math:: x \leftarrow x + \frac{\eta_i}{n}\, P_V \Big( s + \frac{\gamma''}{\alpha |V|^2} \Big),
          \qquad \eta_i = 0.1 \Big(1 - \frac{i}{400}\Big),

and back to the sphere. V is the velocity of the segments, at a node the mean of both sides;
:math:`\gamma''` is that of the natural cubic spline through the nodes known before the step, and
zero while these are only the ends; s and :math:`\gamma''` are projected onto the tangent space of
the sphere, and :math:`P_V` projects off V.

A level ends with iteration 100 k. It is left before, and nothing moves, when the mean over its
points of :math:`|P_V s|` is below that of :math:`|P_V \gamma''| / (\alpha |V|^2)`; the next level
then has more iterations. There is no test of convergence. A natural spline has :math:`\gamma'' = 0`
at both ends, so its second derivative is 27% wrong beside them: what the algorithm converges to is
no geodesic, and its Euler-Lagrange residual, which is reported, stays large. The step is not
relative: 0.1 suits latents of norm 128. Written from a description of the algorithm.

References:
    Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025, sections
    3.3 and 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.interpolate import CubicSpline
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import Evaluation, evaluate, evaluate_ends
from diffusion_geodesics.bvp.level_loop import NO_GEODESIC, LevelState
from diffusion_geodesics.bvp.node_update import Level
from diffusion_geodesics.bvp.result import GivenUp, Result, Step
from diffusion_geodesics.bvp.solution import Solution
from diffusion_geodesics.bvp.solver import BoundaryProblem, BVPSolver, Control
from diffusion_geodesics.bvp.verification import final_results, solution, start_reports, verify
from diffusion_geodesics.manifold import Manifold, Sphere
from diffusion_geodesics.metric import Conformal, Connection
from diffusion_geodesics.path import chord
from diffusion_geodesics.shapes import Nodes


def published_alpha(alpha: float, sigma: float) -> float:
    """The exponent of p that the authors' strength amounts to, α σ / 2.

    Their estimate of the score lacks the factor 1/σ of s = -ε/σ and carries a factor 1/2; 0.002 at
    noise level σ = 0.9 (the standard deviation of the latents' noise) is an exponent of 0.0009.

    Raises:
        ValueError: alpha is negative or sigma not positive.
    """
    if alpha < 0 or not sigma > 0:
        raise ValueError(f"alpha is {alpha} and sigma {sigma}; expected alpha ≥ 0 and sigma > 0")
    return 0.5 * alpha * sigma


def mean_norm_sphere(x0: Float[Tensor, " dim"], x1: Float[Tensor, " dim"]) -> Sphere:
    """The sphere the authors work on: its radius is the mean norm of both end points."""
    return Sphere(0.5 * float(torch.linalg.vector_norm(x0) + torch.linalg.vector_norm(x1)))


@dataclass(frozen=True)
class DescentState:
    """Curves after some iterations.

    Nodes are at i / 2^levels; of a path known at level m only every 2^(levels - m)-th is one, the
    others are not set."""

    nodes: Nodes
    known: Int[Tensor, " paths"]  # m of each path, 0 if only its ends are nodes
    level: Int[Tensor, " paths"]  # k of each path, above ``levels_of`` when it has ended
    iteration: int
    left: tuple[GivenUp, ...]  # levels that were left early
    steps: Int[Tensor, " paths"]  # iterations on the present level of each path


@dataclass(frozen=True)
class PublishedDescent(BVPSolver):
    """The paper's algorithm as published: bisection and plain gradient steps.

    Args:
        levels_of: how often the path is bisected: 4 levels have 1, 3, 7 and 15 control points.
        steps: iterations per level, the 100 above.
        learning_rate: η of one control point, divided by the number of points and falling
            linearly to 0 over all iterations.
        gives_up: leave a level as soon as the acceleration outweighs the score, as published; it
            is reported in ``Solution.given_up`` and, for the last level, as the result.

    ``tol`` decides only what the result is called, ``max_steps`` has no effect, and of the initial
    path only the ends count. The algorithm is meant for :func:`mean_norm_sphere`. The path returned
    is the spline through the nodes of the finest level.

    Cost:
        100 times 1 + 3 + 7 + 15 score evaluations for 4 levels, in 400 batches (at most 5966 where
        levels are left), and 82 in 3 for the ends, the residual and the length.
    """

    levels_of: int = 4
    steps: int = 100
    learning_rate: float = 0.1
    gives_up: bool = True

    def __post_init__(self) -> None:
        if self.levels_of < 1 or self.steps < 1 or not self.learning_rate > 0:
            raise ValueError(
                f"levels_of is {self.levels_of}, steps {self.steps} and learning_rate "
                f"{self.learning_rate}; expected positive numbers"
            )

    @property
    def iterations(self) -> int:
        """Iterations in all."""
        return self.levels_of * self.steps

    def levels(self, tol: float, max_steps: int) -> Sequence[Level]:
        """The levels with one iteration less than each can take at most; to bound the cost."""
        each = [self.steps] * self.levels_of
        if self.gives_up:
            each = [1] * (self.levels_of - 1) + [self.iterations - self.levels_of + 1]
        return [Level(2 ** (k + 1), 0.0, 0.0, n - 1) for k, n in enumerate(each)]

    def begin(self, ends: Float[Tensor, "2 paths dim"]) -> DescentState:
        """The state before the first iteration."""
        paths = torch.zeros(ends.shape[1], dtype=torch.long, device=ends.device)
        nodes = ends[0].expand(2**self.levels_of + 1, *ends.shape[1:]).clone()
        nodes[-1] = ends[1]
        return DescentState(nodes, paths, paths + 1, 0, (), paths)

    def _known(self, state: DescentState, path: Tensor, pieces_at: int) -> tuple[Tensor, int]:
        """Known nodes of some paths, and into how many pieces a level cuts their segments."""
        known = int(state.known[path[0]])
        return state.nodes[:: 2 ** (self.levels_of - known), path], 2 ** (pieces_at - known)

    def advance(
        self, connection: Connection, scores: Float[Tensor, "2 paths dim"], state: DescentState
    ) -> tuple[DescentState, list[tuple[Tensor, Evaluation]]]:
        """One iteration of all paths that have not ended, with known scores at their ends; and the
        evaluations before it, one for all paths with the same control points, with these paths."""
        seen: list[tuple[Tensor, Evaluation]] = []
        after = replace(state, nodes=state.nodes.clone(), iteration=state.iteration + 1)
        code = state.known + (self.levels_of + 2) * state.level
        for each in torch.unique(code[state.level <= self.levels_of]):
            path = (code == each).nonzero()[:, 0]
            known = self._known(state, path, int(state.level[path[0]]))
            points = _on_segments(*known, connection.manifold)[0]
            seen.append((path, evaluate(connection.select(path), scores[:, path], points)))
            after = self._moved(connection, state, after, *seen[-1])
        return after, seen

    def _moved(
        self,
        connection: Connection,
        state: DescentState,
        after: DescentState,
        path: Tensor,
        evaluation: Evaluation,
    ) -> DescentState:
        """The state with some paths moved, or their level left."""
        level = int(state.level[path[0]])
        pull, bend = _terms(connection, *self._known(state, path, level), evaluation)
        left = (_mean_norm(pull) < _mean_norm(bend)) & self.gives_up
        inner = evaluation.nodes[1:-1]
        rate = self.learning_rate * (1 - state.iteration / self.iterations) / len(inner)
        moved = connection.manifold.project(inner + rate * (pull + bend))
        moves, stride = path[~left], 2 ** (self.levels_of - level)
        grid = torch.arange(stride, len(state.nodes) - 1, stride, device=path.device)
        after.nodes[grid[:, None], moves[None]] = moved[:, ~left]
        given = tuple(GivenUp(2**level, int(state.steps[p]), int(p)) for p in path[left].tolist())
        over = after.iteration >= self.steps * level
        known, levels, steps = (x.clone() for x in (after.known, after.level, after.steps))
        known[moves] = level
        steps[moves] = 0 if over else steps[moves] + 1
        levels[moves] += int(over)
        levels[path[left]] += 1
        steps[path[left]] = 0
        return replace(after, known=known, level=levels, steps=steps, left=after.left + given)

    def solve(self, problem: BoundaryProblem, control: Control) -> Solution:
        whole = problem.connection
        initial = problem.starts[0](torch.tensor([0.0, 1.0], dtype=torch.float64))
        batch, manifold = initial.shape[1:-1], whole.manifold
        before = manifold.spent
        ends = initial.reshape(2, -1, initial.shape[-1])
        connection = whole.select(torch.arange(ends.shape[1], device=ends.device))
        state, recorded = self._descended(connection, ends, control)
        results = tuple(self._result(recorded, state, i, control.tol) for i in range(ends.shape[1]))
        recorded = replace(recorded, results=results)
        everyone = torch.arange(len(results), device=ends.device)
        check = verify(whole, recorded, everyone, batch)
        starts = start_reports(recorded.length, recorded.residual, results, batch)
        final = final_results(recorded, everyone, check)
        return solution(whole, recorded, everyone, final, check, starts, before)

    def _descended(
        self, connection: Connection, ends: Tensor, control: Control
    ) -> tuple[DescentState, LevelState]:
        """All iterations, then the nodes of the finest level and what is known of them."""
        scores, state = evaluate_ends(connection, ends), self.begin(ends)
        paths = ends.shape[1]
        nfe, batches, steps = 2 * paths, 1, ()
        residual = length = ends.new_full((paths,), torch.inf)
        while bool((state.level <= self.levels_of).any()) and state.iteration < self.iterations:
            state, seen = self.advance(connection, scores, state)
            for path, evaluation in seen:
                nfe += len(path) * (len(evaluation.nodes) - 2)
                residual = residual.index_copy(0, path, evaluation.residual)
                length = length.index_copy(0, path, evaluation.length)
            batches += len(seen)
            finest = max(len(evaluation.nodes) - 1 for _, evaluation in seen)
            steps = (*steps, Step(finest, len(steps) + 1, residual, length, nfe))
            control.report(steps[-1])
        nodes = state.nodes.clone()
        for known in torch.unique(state.known):
            path = (state.known == known).nonzero()[:, 0]
            finest = self._known(state, path, self.levels_of)
            nodes[:, path] = _on_segments(*finest, connection.manifold)[0]
        last = evaluate(connection, scores, nodes)
        batches, nfe = batches + 1, nfe + paths * (len(nodes) - 2)
        kept = (nodes, last.residual, last.length)
        return state, LevelState(connection, scores, *kept, (), steps, state.left, batches, nfe)

    def _result(self, state: LevelState, descent: DescentState, path: int, tol: float) -> Result:
        residual = float(state.residual[path])
        if not (residual < torch.inf and bool(torch.isfinite(state.length[path]))):
            return Result.non_finite
        if residual < tol:
            return Result.converged
        if any(g.path == path and g.intervals == 2**self.levels_of for g in descent.left):
            return Result.given_up
        return Result.not_converged if residual > NO_GEODESIC else Result.max_steps


def _terms(
    connection: Connection, nodes: Tensor, pieces: int, evaluation: Evaluation
) -> tuple[Tensor, Tensor]:
    """P_V s and P_V γ'' / (α |V|²) at the control points; zero where the path stands still."""
    manifold, inner = connection.manifold, evaluation.nodes[1:-1]
    velocity = _on_segments(nodes, pieces, manifold)[1][1:-1]
    square = velocity.square().sum(-1, keepdim=True)
    rounding = (1e3 * torch.finfo(nodes.dtype).eps) ** 2
    moving = square > rounding * inner.square().sum(-1, keepdim=True)

    def across(a: Tensor) -> Tensor:
        a = manifold.to_tangent(inner, a)
        a = a - (a * velocity).sum(-1, keepdim=True) / square.clamp_min(1e-300) * velocity
        return torch.where(moving, a, 0)

    alpha = _strength(connection)
    second = _natural_spline(len(nodes), pieces).to(nodes)
    bend = across(torch.tensordot(second, nodes - nodes[0], dims=1)) / square.clamp_min(1e-300)
    if alpha == 0:  # the step has no limit; without a density the segments are the geodesic
        return torch.zeros_like(bend), torch.zeros_like(bend)
    return across(evaluation.field.score), bend / alpha


def _strength(connection: Connection) -> float:
    slope = connection.weight.constant_slope if isinstance(connection, Conformal) else None
    if slope is None:
        raise ValueError(
            f"the published algorithm got the geometry {type(connection).__name__}; expected "
            "Conformal(score, alpha) with a number for alpha, or another solver"
        )
    return slope


def _mean_norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1).mean(0)


def _on_segments(nodes: Tensor, pieces: int, manifold: Manifold) -> tuple[Tensor, Tensor]:
    """Points that cut every segment between nodes into equal pieces, and the velocities there."""
    times = torch.linspace(0, 1, pieces + 1, dtype=torch.float64)
    segment = chord(nodes[:-1], nodes[1:], manifold)
    points, velocity = segment(times), segment(times, 1) * (len(nodes) - 1)
    velocity[0, 1:] = 0.5 * (velocity[0, 1:] + velocity[-1, :-1])  # the mean of both sides
    inner = [x[:-1].transpose(0, 1).flatten(0, 1) for x in (points, velocity)]
    where = torch.cat([nodes[:1], inner[0][1:], nodes[-1:]])
    return where, torch.cat([inner[1], velocity[-1:, -1]])


@lru_cache(maxsize=32)
def _natural_spline(nodes: int, pieces: int) -> Tensor:
    """Second derivatives of the natural cubic spline through equidistant nodes, at the inner points
    that cut its segments into pieces, as a matrix (points, nodes); zero for two nodes."""
    points = np.linspace(0, 1, (nodes - 1) * pieces + 1)[1:-1]
    if nodes == 2:
        return torch.zeros(len(points), nodes, dtype=torch.float64)
    spline = CubicSpline(np.linspace(0, 1, nodes), np.eye(nodes), axis=0, bc_type="natural")
    return torch.from_numpy(spline(points, 2))
