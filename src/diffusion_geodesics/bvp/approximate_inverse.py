r"""An approximate inverse of the derivative of the matching conditions of multiple shooting.

The derivative is approximated by that of :math:`\delta'' = \lambda \delta` across the path (λ:
curvature of the log density there, less that of the manifold) and :math:`\delta'' = 0` along it, in
a frame that turns with the path. Its inverse then consists of two small matrices (2K - 1 rows) that
all coordinates share.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp.multiple_shooting import MatchingDefects, ShootingNodes
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.shapes import PathPoints


@dataclass(frozen=True)
class ApproximateInverse:
    """Inverse of the derivative of the matching conditions, for a density of one curvature across
    the path."""

    across: Float[Tensor, "paths unknowns unknowns"]  # inverses of the two small matrices
    along: Float[Tensor, "paths unknowns unknowns"]
    points: Float[Tensor, "unknowns paths dim"]  # frame at the place of each unknown
    directions: Float[Tensor, "unknowns paths dim"]
    end_point: Float[Tensor, "paths dim"]  # frame at the target
    end_direction: Float[Tensor, "paths dim"]
    flat: bool  # whether the space is flat, so that the frame need not turn with the points

    @property
    def targets(self) -> Float[Tensor, "unknowns paths dim"]:
        """The point at which each condition compares."""
        return torch.cat([self.points[1:], self.end_point[None]])

    def __call__(
        self, defect: Float[Tensor, "unknowns paths dim"]
    ) -> Float[Tensor, "unknowns paths dim"]:
        """The change of the unknowns that changes the conditions by ``defect``."""
        first = (self.points[:1], self.directions[:1])
        frames = (self.targets, torch.cat([self.directions[1:], self.end_direction[None]]))
        common = self._turn(defect, frames, first)
        norm = torch.linalg.vector_norm(self.directions[0], dim=-1, keepdim=True)
        direction = self.directions[0] / norm.clamp_min(1e-30)
        along = (common * direction).sum(-1)
        rest = common - along[..., None] * direction
        solved = torch.einsum("puq,qpd->upd", self.across, rest)
        solved = solved + torch.einsum("puq,qp->up", self.along, along)[..., None] * direction
        return self._turn(solved, first, (self.points, self.directions))

    def _turn(
        self, x: Tensor, origin: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor]
    ) -> Tensor:
        direction = origin[1]
        if not self.flat:
            x, direction = (_rotated(y, origin[0], target[0]) for y in (x, direction))
        return _rotated(x, direction, target[1])


def _rotated(x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """The smallest rotation that takes the direction of a to that of b, applied to x."""
    a, b = (y / torch.linalg.vector_norm(y, dim=-1, keepdim=True).clamp_min(1e-30) for y in (a, b))
    both = a + b
    cosine = (a * b).sum(-1, keepdim=True)
    share = (both * x).sum(-1, keepdim=True) / (1 + cosine).clamp_min(1e-3)
    return x - share * both + 2 * (a * x).sum(-1, keepdim=True) * b


def approximate_inverse(
    connection: Connection, nodes: ShootingNodes, defects: MatchingDefects, target: PathPoints
) -> ApproximateInverse:
    """The approximate inverse at given shooting nodes: 1 score evaluation per segment and path."""
    segments, paths, _ = nodes.x.shape
    times = torch.arange(segments, device=target.device).to(target) / segments
    field = connection.field(times[:, None].expand(segments, paths), nodes.x, nodes.v)
    square = nodes.v.square().sum(-1)
    stiffness = field.shift.clamp_min(0) - connection.manifold.curvature * square
    rows = torch.arange(2 * segments - 1, device=target.device)
    place = (rows + 1) // 2
    return ApproximateInverse(
        across=torch.linalg.pinv(_transition(stiffness)),
        along=torch.linalg.pinv(_transition(torch.zeros_like(stiffness))),
        points=nodes.x[place],
        directions=nodes.v[place],
        end_point=target,
        end_direction=defects.direction,
        flat=connection.manifold.curvature == 0,
    )


def _transition(stiffness: Float[Tensor, "segments paths"]) -> Tensor:
    """Derivative of the conditions for δ'' = λ δ, shape (paths, 2K-1, 2K-1)."""
    segments, paths = stiffness.shape
    tau = 1.0 / segments
    root = stiffness.abs().sqrt() * tau
    grows = stiffness > 0
    bounded = root.clamp(max=20)
    cosine = torch.where(grows, bounded.cosh(), root.cos())
    sine = tau * torch.where(
        grows, bounded.sinh() / bounded.clamp_min(1e-30), torch.sinc(root / torch.pi)
    )
    sine = torch.where(root > 1e-8, sine, tau)
    matrix = stiffness.new_zeros(paths, 2 * segments - 1, 2 * segments - 1)
    for k in range(segments):
        matrix[:, 2 * k, 2 * k] = sine[k]
        if k:
            matrix[:, 2 * k, 2 * k - 1] = cosine[k]
        if k < segments - 1:
            matrix[:, 2 * k, 2 * k + 1] = -1
            matrix[:, 2 * k + 1, 2 * k] = cosine[k]
            matrix[:, 2 * k + 1, 2 * k + 2] = -1
            if k:
                matrix[:, 2 * k + 1, 2 * k - 1] = stiffness[k] * sine[k]
    return matrix
