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

from diffusion_geodesics.bvp.anderson import flat, unflat
from diffusion_geodesics.bvp.approximate_inverse import approximate_inverse
from diffusion_geodesics.bvp.krylov import gmres
from diffusion_geodesics.bvp.multiple_shooting import (
    MatchingDefects,
    ShootingNodes,
    integrate_segments,
)
from diffusion_geodesics.bvp.result import Step
from diffusion_geodesics.ivp import Integrator
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
        iterate = state.nodes.take(rows), state.defects.take(rows)
        newton = _NewtonStep(connection.select(rows), options, *iterate, target[rows])
        nodes, defects, improved = newton.line_search(newton.solved())
        state = replace(
            state,
            nodes=state.nodes.put(rows, nodes),
            defects=state.defects.put(rows, defects),
            batches=state.batches + newton.batches,
            nfe=state.nfe + newton.nfe,
        )
        active = active.index_copy(0, rows, improved)
    return state, state.defects.largest <= landing * span


class _NewtonStep:
    """One step of some paths, with the approximate inverse of their derivative; counts its cost."""

    def __init__(
        self,
        connection: Connection,
        options: NewtonOptions,
        nodes: ShootingNodes,
        defects: MatchingDefects,
        target: PathPoints,
    ) -> None:
        self.connection, self.options, self.target = connection, options, target
        self.nodes, self.defects = nodes, defects
        self.inverse = approximate_inverse(connection, nodes, defects, target)
        self.batches, self.nfe = 1, len(target) * len(nodes.x)

    def _integrated(self, nodes: ShootingNodes, rows: Tensor) -> MatchingDefects:
        """The segments from other nodes, of some of these paths."""
        connection, target = self.connection.select(rows), self.target[rows]
        defects, ray = integrate_segments(connection, self.options.integrator, nodes, target)
        self.batches, self.nfe = self.batches + ray.batches, self.nfe + ray.nfe
        return defects

    def _size(self, defects: MatchingDefects) -> PathValues:
        """Norm of the step that would remove the defects: a measure that does not depend on the
        scale of the conditions (Deuflhard's natural level function)."""
        return torch.linalg.vector_norm(flat(self.inverse(defects.defect)), dim=-1)

    def solved(self) -> Tensor:
        """The step by GMRES, with products of the derivative by differences of rays."""
        manifold, defect = self.connection.manifold, self.defects.defect
        every = torch.arange(len(self.target), device=self.target.device)
        span = separation(self.nodes.x[0], self.target, manifold).clamp_min(1e-30)
        reach = torch.finfo(self.target.dtype).eps ** (1 / 3) * span

        def product(y: Tensor) -> Tensor:
            step = self.inverse(unflat(y, defect))
            scale = reach / step.square().sum(-1).sum(0).sqrt().clamp_min(1e-30)
            moved = self.nodes.moved(manifold, scale[:, None] * step)
            change = (self._integrated(moved, every).defect - defect) / scale[:, None]
            return flat(manifold.to_tangent(self.inverse.targets, change))

        y, _ = gmres(product, flat(-defect), tol=FORCING, max_products=self.options.krylov)
        return self.inverse(unflat(y, defect))

    def line_search(self, step: Tensor) -> tuple[ShootingNodes, MatchingDefects, Tensor]:
        """The paths after the longest of the halved steps that reduces their error, and which of
        them one did."""
        nodes, defects = self.nodes, self.defects
        improved = torch.zeros(len(self.target), dtype=torch.bool, device=self.target.device)
        for halving in range(HALVINGS + 1):
            left = (~improved).nonzero()[:, 0]
            scale = 0.5**halving
            tried = nodes.take(left).moved(self.connection.manifold, scale * step[:, left])
            other = self._integrated(tried, left)
            before, after = self._size(defects), self._size(defects.put(left, other))
            good = (after < (1 - 1e-4 * scale) * before)[left].nonzero()[:, 0]
            nodes = nodes.put(left[good], tried.take(good))
            defects = defects.put(left[good], other.take(good))
            improved = improved.index_fill(0, left[good], True)
            if bool(improved.all()):
                break
        return nodes, defects, improved
