r"""The string method: the path of maximal density between two points.

Along it the score has no part across the path,

.. math:: P_\perp s(\gamma) = 0, \qquad P_\perp = I - \hat v \hat v^{\mathsf T}:

it leads from each end to a mode of the density and from mode to mode over the saddles. Geodesics
tend to it as α → ∞; it is not a geodesic for any α. The nodes are kept at equal chords.

Linearised about such a path, a displacement δ across it satisfies :math:`-c\,\delta - b\,\delta'`,
with c the curvature of the log density across the path and b = s·v/|v|². Information propagates
with b, towards higher density, so δ' and the direction of the path are second-order differences to
the side of lower density. These also never cross the kinks that the path has at modes. The step
inverts this operator, one small matrix for all coordinates, with Anderson acceleration.

References:
    E, Ren, Vanden-Eijnden, String method for the study of rare events, Phys. Rev. B 2002.
    Henkelman, Jónsson, J. Chem. Phys. 2000 (one-sided differences).
    Moreau et al., arXiv 2602.22122 (images on such paths look like cartoons).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_geodesics.bvp.anderson import History, flat, unflat
from diffusion_geodesics.bvp.euler_lagrange import Evaluation
from diffusion_geodesics.bvp.node_update import Level
from diffusion_geodesics.bvp.relaxation import RelaxationSolver
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.shapes import Nodes, PathValues

REACH = 0.1
"""Longest step of a node in lengths of the path."""


@dataclass(frozen=True)
class StringMethod(RelaxationSolver[History]):
    r"""Solver for the path of maximal density.

    Its residual is :math:`\mathrm{rms}(P_\perp s) / \max(\mathrm{rms}(s), 1 / L)` over the nodes,
    with L the length of the path. The geometry only serves to measure lengths and, with α > 0, to
    scale the preconditioner; the path does not depend on it.

    Args:
        intervals: intervals of each level, coarse to fine; every one at least 4.
        memory: number of differences that Anderson acceleration uses; 0 turns it off.
        coarse_residual: residual at which coarse levels end.

    Raises:
        ValueError: a level has fewer than 4 intervals, or ``memory`` is negative.

    Cost:
        intervals - 1 score evaluations per step and path, in one batch per step; see
        :class:`RelaxationSolver` for the rest.
    """

    intervals: tuple[int, ...] = (16, 32)
    memory: int = 8
    coarse_residual: float = 5e-2

    def __post_init__(self) -> None:
        if not self.intervals or min(self.intervals) < 4 or self.memory < 0:
            raise ValueError(
                f"intervals is {self.intervals} and memory {self.memory}; expected one or more "
                "levels of at least 4 intervals, and memory ≥ 0"
            )

    @property
    def seeks_geodesics(self) -> bool:
        return False

    def levels(self, tol: float, max_steps: int) -> Sequence[Level]:
        coarse = [Level(n, self.coarse_residual, 0.0, max_steps) for n in self.intervals[:-1]]
        return [*coarse, Level(self.intervals[-1], tol, 0.0, max_steps)]

    def init(self, evaluation: Evaluation) -> History:
        return History.empty(flat(evaluation.nodes[1:-1]), self.memory)

    def residual(self, connection: Connection, evaluation: Evaluation) -> PathValues:
        across, _, _ = _force(connection, evaluation)
        score = evaluation.field.score.square().sum(-1).mean(0).sqrt()
        least = 1 / _length(evaluation.nodes).clamp_min(1e-30)
        return across.square().sum(-1).mean(0).sqrt() / torch.maximum(score, least)

    def move(
        self, connection: Connection, evaluation: Evaluation, state: History
    ) -> tuple[Nodes, History]:
        nodes, inner = evaluation.nodes, evaluation.nodes[1:-1]
        across, velocity, matrix = _force(connection, evaluation)
        square = velocity.square().sum(-1).clamp_min(1e-30)
        drift = (evaluation.field.score * velocity).sum(-1) / square
        stiffness = _stiffness(evaluation, drift, across)
        operator = torch.diag_embed(stiffness.T) + drift.T[..., None] * matrix[..., 1:-1]
        step, info = torch.linalg.solve_ex(operator, across.transpose(0, 1))
        step = torch.where((info == 0)[:, None, None], step, 0).transpose(0, 1)
        longest = torch.linalg.vector_norm(step, dim=-1).amax(0).clamp_min(1e-30)
        step = step * (REACH * _length(nodes) / longest).clamp_max(1)[:, None]
        moved = torch.cat([nodes[:1], connection.manifold.project(inner + step), nodes[-1:]])
        update = connection.manifold.project(equal_chords(moved)[1:-1]) - inner
        history = state.push(flat(inner), flat(update))
        better = history.step(torch.ones_like(evaluation.residual), 1e-10)
        size, plain = (torch.linalg.vector_norm(x, dim=-1) for x in (better, flat(update)))
        trusted = torch.isfinite(size) & (size < 5 * plain)
        return torch.where(trusted[:, None], unflat(better, update), update), history


def _length(nodes: Tensor) -> Tensor:
    return torch.linalg.vector_norm(nodes[1:] - nodes[:-1], dim=-1).sum(0)


def _stiffness(evaluation: Evaluation, drift: Tensor, across: Tensor) -> Tensor:
    """Curvature of the log density across the path, in 1/length², from the connection's field,
    where it is α times as large; at least what keeps a step below the path's length."""
    field, square = evaluation.field, evaluation.velocity.square().sum(-1).clamp_min(1e-30)
    central = (field.score * evaluation.velocity).sum(-1)
    alpha = -(field.advection * central).sum(0) / central.square().sum(0).clamp_min(1e-30)
    curvature = field.shift.clamp_min(0) / square / alpha.clamp_min(1e-30)
    pull = torch.linalg.vector_norm(across, dim=-1).amax(0)
    floor = pull / _length(evaluation.nodes).clamp_min(1e-30)
    rounding = torch.finfo(pull.dtype).tiny ** 0.5
    return torch.nan_to_num(curvature, posinf=0.0) + floor + rounding


def _force(connection: Connection, evaluation: Evaluation) -> tuple[Tensor, Tensor, Tensor]:
    """The score across the path, the velocity by one-sided differences, and their matrix."""
    nodes, score = evaluation.nodes, evaluation.field.score
    increasing = (score * evaluation.velocity).sum(-1) > 0
    matrix = one_sided_derivative(increasing)
    velocity = torch.einsum("pij,jpd->ipd", matrix.to(nodes), nodes - nodes[0])
    velocity = connection.manifold.to_tangent(nodes[1:-1], velocity)
    square = velocity.square().sum(-1, keepdim=True).clamp_min(1e-30)
    across = score - (score * velocity).sum(-1, keepdim=True) / square * velocity
    return across, velocity, matrix.to(nodes)


def one_sided_derivative(increasing: Tensor) -> Tensor:
    """Matrices of the derivative at inner nodes, by differences to the side of lower density."""
    inner = len(increasing)
    count = inner + 2
    eye = torch.eye(count, dtype=torch.float64, device=increasing.device)
    row = torch.arange(1, inner + 1, device=increasing.device)
    back = 1.5 * eye[row] - 2 * eye[row - 1] + 0.5 * eye[(row - 2).clamp_min(0)]
    back[0] = eye[1] - eye[0]
    ahead = -1.5 * eye[row] + 2 * eye[row + 1] - 0.5 * eye[(row + 2).clamp_max(count - 1)]
    ahead[-1] = eye[count - 1] - eye[count - 2]
    return torch.where(increasing.T[..., None], back, ahead) * (count - 1)


def equal_chords(nodes: Nodes) -> Nodes:
    """Nodes at equal steps of arc length along the polygons through the given ones."""
    steps = torch.linalg.vector_norm(nodes[1:] - nodes[:-1], dim=-1)
    arc = torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)]).T.contiguous()
    count = len(nodes)
    goal = arc[:, -1:] * torch.linspace(0, 1, count, dtype=arc.dtype, device=arc.device)
    index = (torch.searchsorted(arc, goal.contiguous(), right=True) - 1).clamp(0, count - 2)
    left, right = arc.gather(1, index), arc.gather(1, index + 1)
    share = ((goal - left) / (right - left).clamp_min(1e-30)).clamp(0, 1).T[..., None]
    wide = index.T[..., None].expand(-1, -1, nodes.shape[-1])
    spaced = torch.lerp(nodes.gather(0, wide), nodes.gather(0, wide + 1), share)
    return torch.cat([nodes[:1], spaced[1:-1], nodes[-1:]])
