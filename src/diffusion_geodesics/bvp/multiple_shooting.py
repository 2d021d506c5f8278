r"""The matching conditions of multiple shooting.

A path is cut into K segments. The unknowns are the initial velocity :math:`v_0` and, at every
interior shooting node, point and velocity :math:`(x_k, v_k)`; a ray is integrated from each of
them. The matching conditions

.. math:: X_k - x_{k+1} = 0, \quad V_k - v_{k+1} = 0 \ (k < K - 1), \qquad X_{K-1} - B = 0

compare the end :math:`(X_k, V_k)` of each ray with the start of the next one, and the last end with
the target; on a sphere in the tangent space of the latter.

References:
    Stoer, Bulirsch, Introduction to Numerical Analysis, 2002, section 7.3.5 (multiple shooting).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.ivp import Integrator, Ray, solve_ivp
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.shapes import PathPoints, PathValues


@dataclass(frozen=True)
class ShootingNodes:
    """Points and velocities from which the rays of the K segments start."""

    x: Float[Tensor, "segments paths dim"]  # ``x[0]`` is the start of the path
    v: Float[Tensor, "segments paths dim"]

    def moved(self, manifold: Manifold, step: Float[Tensor, "unknowns paths dim"]) -> ShootingNodes:
        """The nodes after a step of the unknowns."""
        x = torch.cat([self.x[:1], manifold.project(self.x[1:] + step[1::2])])
        return ShootingNodes(x, manifold.to_tangent(x, self.v + step[::2]))

    def take(self, rows: Tensor) -> ShootingNodes:
        """The nodes of some of the paths."""
        return ShootingNodes(self.x[:, rows], self.v[:, rows])

    def put(self, rows: Tensor, part: ShootingNodes) -> ShootingNodes:
        """With some of the paths replaced."""
        return ShootingNodes(self.x.index_copy(1, rows, part.x), self.v.index_copy(1, rows, part.v))


@dataclass(frozen=True)
class MatchingDefects:
    """Left-hand sides of the matching conditions, in the order (X_0, V_0, X_1, ..., X_{K-1})."""

    defect: Float[Tensor, "unknowns paths dim"]  # infinite where a ray did not reach its end
    direction: PathPoints  # velocity at the end of the path
    length: PathValues  # metric length, with the density relative to the start

    @property
    def largest(self) -> Float[Tensor, " paths"]:
        """Largest norm of a condition's left-hand side."""
        return torch.linalg.vector_norm(self.defect, dim=-1).amax(0)

    def take(self, rows: Tensor) -> MatchingDefects:
        """The defects of some of the paths."""
        return MatchingDefects(self.defect[:, rows], self.direction[rows], self.length[rows])

    def put(self, rows: Tensor, part: MatchingDefects) -> MatchingDefects:
        """With some of the paths replaced."""
        return MatchingDefects(
            self.defect.index_copy(1, rows, part.defect),
            self.direction.index_copy(0, rows, part.direction),
            self.length.index_copy(0, rows, part.length),
        )


def integrate_segments(
    connection: Connection,
    integrator: Integrator,
    nodes: ShootingNodes,
    target: PathPoints,
    *,
    growth: bool = False,
) -> tuple[MatchingDefects, Ray]:
    """Integrate all segments of all paths in one batch of rays."""
    segments, paths, dim = nodes.x.shape
    index = torch.arange(paths, device=target.device).repeat(segments)
    times = torch.arange(segments, device=target.device).to(target) / segments
    ray = solve_ivp(
        connection.select(index),
        nodes.x.reshape(-1, dim),
        nodes.v.reshape(-1, dim),
        integrator=integrator,
        t0=times.repeat_interleave(paths),
        horizon=1 / segments,
        growth=growth,
        error=False,
    )
    end = ray.end.reshape(segments, paths, dim)
    velocity = ray.end_velocity.reshape(segments, paths, dim)
    defect = nodes.x.new_zeros(2 * segments - 1, paths, dim)
    manifold = space_form(connection.manifold)
    defect[::2] = manifold.log(torch.cat([nodes.x[1:], target[None]]), end)
    defect[1::2] = manifold.to_tangent(nodes.x[1:], velocity[:-1]) - nodes.v[1:]
    ended = torch.tensor([r.ok for r in ray.results], device=target.device)
    defect = torch.where(ended.reshape(segments, paths).all(0)[:, None], defect, torch.inf)
    return MatchingDefects(defect, velocity[-1], _length(connection, nodes, ray)), ray


def _length(connection: Connection, nodes: ShootingNodes, ray: Ray) -> Tensor:
    """Sum of the lengths of the segments, each of which is known relative to its own start."""
    segments, paths, _ = nodes.x.shape
    change = ray.log_density[-1].reshape(segments, paths)
    log_density = torch.cat([torch.zeros_like(change[:1]), change.cumsum(0)[:-1]])
    levels, no_score = (log_density, torch.zeros_like(log_density)), torch.zeros_like(nodes.v)
    here, start = (connection.speed(nodes.v, no_score, level) for level in levels)
    scale = torch.where(start > 0, here / start.clamp_min(1e-30), 1)
    return (scale * ray.length.reshape(segments, paths)).sum(0)
