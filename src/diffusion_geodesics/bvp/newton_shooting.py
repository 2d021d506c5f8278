r"""Newton's method on the matching conditions of multiple shooting.

The derivative of the conditions (:mod:`diffusion_geodesics.bvp.multiple_shooting`) is never formed.
Its products are differences of rays, all segments in one batch, and GMRES with the approximate
inverse solves for the step. The number of rays therefore depends on the number of directions in
which the geometry varies, and not on the dimension. Steps are halved until they reduce the error.

References:
    Knoll, Keyes, J. Comput. Phys. 2004 (Newton-Krylov).
    Deuflhard, Newton Methods for Nonlinear Problems, 2004 (natural level functions).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool
from torch import Tensor

from diffusion_geodesics.bvp.approximate_inverse import ApproximateInverse, approximate_inverse
from diffusion_geodesics.bvp.krylov import gmres
from diffusion_geodesics.bvp.multiple_shooting import (
    MatchingDefects,
    ShootingNodes,
    integrate_segments,
)
from diffusion_geodesics.bvp.result import Step
from diffusion_geodesics.ivp import Integrator, Ray
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import separation
from diffusion_geodesics.shapes import PathPoints, PathValues

HALVINGS = 6
"""How often a Newton step is halved before the path is abandoned."""

FORCING = 1e-3
"""Relative residual to which the linear system of a Newton step is solved."""


@dataclass(frozen=True)
class NewtonOptions:
    """Settings of Newton's method."""

    integrator: Integrator  # of the rays
    landing: float  # largest defect at which a path is solved, relative to the distance of its ends
    krylov: int = 20  # most rays to solve for one Newton step
    growth_limit: float = 1e4  # growth of small errors above which a path is refused


@dataclass(frozen=True)
class NewtonState:
    """An iterate of Newton's method."""

    nodes: ShootingNodes
    defects: MatchingDefects
    growth: PathValues  # largest growth factor of a segment along the first iterate
    steps: tuple[Step, ...]  # residuals are the largest defects over the distance of the ends
    batches: int
    nfe: int

    def spent(self, ray: Ray) -> NewtonState:
        """With the cost of a batch of rays added."""
        return replace(self, batches=self.batches + ray.batches, nfe=self.nfe + ray.nfe)


def newton_shooting(
    connection: Connection,
    options: NewtonOptions,
    nodes: ShootingNodes,
    target: PathPoints,
    max_steps: int,
    report: Callable[[Step], None],
) -> tuple[NewtonState, Bool[Tensor, " paths"]]:
    """Newton's method until every path is solved or no step helps; and which are solved."""
    span = separation(nodes.x[0], target, connection.manifold).clamp_min(1e-30)
    landing = max(options.landing, 100 * torch.finfo(target.dtype).eps)
    defects, ray = integrate_segments(connection, options.integrator, nodes, target, growth=True)
    segments = len(nodes.x)
    growth = ray.growth.reshape(segments, -1).amax(0)
    state = NewtonState(nodes, defects, growth, (), ray.batches, ray.nfe)
    active = torch.isfinite(defects.largest) & (growth <= options.growth_limit)
    for number in range(max_steps + 1):
        error = state.defects.largest / span
        step = Step(segments, number + 1, error, state.defects.length, state.nfe)
        state = replace(state, steps=(*state.steps, step))
        report(step)
        active = active & (error > landing)
        rows = active.nonzero()[:, 0]
        if not len(rows) or number == max_steps:
            break
        state, improved = _newton_step(connection, options, state, target, rows)
        active = active.index_copy(0, rows, improved)
    return state, state.defects.largest <= landing * span


@dataclass(frozen=True)
class _Part:
    """The paths of one Newton step, with the approximate inverse of their derivative."""

    connection: Connection
    options: NewtonOptions
    nodes: ShootingNodes
    defects: MatchingDefects
    target: Tensor
    inverse: ApproximateInverse

    def integrated(
        self, nodes: ShootingNodes, rows: Tensor | None = None
    ) -> tuple[MatchingDefects, Ray]:
        """The segments from other nodes, of all these paths or of some."""
        connection, target = self.connection, self.target
        if rows is not None:
            connection, target = connection.select(rows), target[rows]
        return integrate_segments(connection, self.options.integrator, nodes, target)

    def wide(self, flat: Tensor) -> Tensor:
        """From (paths, size) to (unknowns, paths, dim)."""
        unknowns, paths, dim = self.defects.defect.shape
        return flat.reshape(paths, unknowns, dim).transpose(0, 1)

    def narrow(self, x: Tensor) -> Tensor:
        return x.transpose(0, 1).reshape(self.defects.defect.shape[1], -1)

    def size(self, defects: MatchingDefects) -> Tensor:
        """Norm of the step that would remove the defects: a measure that does not depend on the
        scale of the conditions (Deuflhard's natural level function)."""
        return torch.linalg.vector_norm(self.narrow(self.inverse(defects.defect)), dim=-1)


def _newton_step(
    connection: Connection, options: NewtonOptions, state: NewtonState, target: Tensor, rows: Tensor
) -> tuple[NewtonState, Tensor]:
    """One step of the paths ``rows``, and which of them it improved."""
    selected = connection.select(rows)
    nodes, defects, goal = state.nodes.take(rows), state.defects.take(rows), target[rows]
    inverse = approximate_inverse(selected, nodes, defects, goal)
    part = _Part(selected, options, nodes, defects, goal, inverse)
    state = replace(state, batches=state.batches + 1, nfe=state.nfe + len(rows) * len(nodes.x))
    step, state = _solve(part, state)
    nodes, defects, improved, state = _line_search(part, step, state)
    state = replace(
        state, nodes=state.nodes.put(rows, nodes), defects=state.defects.put(rows, defects)
    )
    return state, improved


def _solve(part: _Part, state: NewtonState) -> tuple[Tensor, NewtonState]:
    """The Newton step by GMRES, with products of the derivative by differences of rays."""
    span = separation(part.nodes.x[0], part.target, part.connection.manifold).clamp_min(1e-30)
    reach = torch.finfo(part.target.dtype).eps ** (1 / 3) * span

    def product(y: Tensor) -> Tensor:
        nonlocal state
        step = part.inverse(part.wide(y))
        scale = reach / step.square().sum(-1).sum(0).sqrt().clamp_min(1e-30)
        moved = part.nodes.moved(part.connection.manifold, scale[:, None] * step)
        other, ray = part.integrated(moved)
        state = state.spent(ray)
        change = (other.defect - part.defects.defect) / scale[:, None]
        return part.narrow(part.connection.manifold.to_tangent(part.inverse.targets, change))

    right = part.narrow(-part.defects.defect)
    solved, _ = gmres(product, right, tol=FORCING, max_products=part.options.krylov)
    return part.inverse(part.wide(solved)), state


def _line_search(
    part: _Part, step: Tensor, state: NewtonState
) -> tuple[ShootingNodes, MatchingDefects, Tensor, NewtonState]:
    """The paths after the longest of the halved steps that reduces their error."""
    nodes, defects = part.nodes, part.defects
    improved = torch.zeros(len(part.target), dtype=torch.bool, device=part.target.device)
    for halving in range(HALVINGS + 1):
        left = (~improved).nonzero()[:, 0]
        scale = 0.5**halving
        tried = nodes.take(left).moved(part.connection.manifold, scale * step[:, left])
        other, ray = part.integrated(tried, left)
        state = state.spent(ray)
        before, after = part.size(defects), part.size(defects.put(left, other))
        good = (after < (1 - 1e-4 * scale) * before)[left].nonzero()[:, 0]
        nodes = nodes.put(left[good], tried.take(good))
        defects = defects.put(left[good], other.take(good))
        improved = improved.index_fill(0, left[good], True)
        if bool(improved.all()):
            break
    return nodes, defects, improved, state
