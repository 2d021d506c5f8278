r"""The discrete Euler-Lagrange equation of a curve at equidistant nodes.

The defect at node i is

.. math:: r_i = \frac{x_{i+1} - 2 x_i + x_{i-1}}{h^2} - a(x_i, v_i), \qquad
          v_i = \frac{x_{i+1} - x_{i-1}}{2h},

with a the connection's acceleration. The residual is its size relative to the curvature that the
geometry requires,

.. math:: \rho = \frac{\| P_\perp r / |v|^2 \|}{\| P_\perp a / |v|^2 \|},

with both projected onto the tangent space of the manifold. The denominator is at least 0.1 over the
length of the chord, so that a straight line between points of constant density has residual 0, not
0/0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import evaluate as evaluate_score
from diffusion_geodesics.length import relative
from diffusion_geodesics.metric import Connection, Field
from diffusion_geodesics.path import spline_matrix
from diffusion_geodesics.shapes import Nodes, PathValues

LEAST_BENDING = 0.1
"""Curvature times chord below which the residual is no longer relative."""

ROUNDING = 4.0
"""Rounding error of a node in units of its last digit; it is subtracted from the residual."""


@dataclass(frozen=True)
class Evaluation:
    """A batch of curves with n intervals, and what one evaluation of the score says about them.

    Args:
        nodes: shape (n+1, paths, dim).
        velocity, field, defect: central differences, the connection's field and r at the n-1
            interior nodes.
        residual: ρ, shape (paths,).
        length: by the spline through the nodes, with the reference of ``Profile.length``.
    """

    nodes: Nodes
    velocity: Float[Tensor, "inner paths dim"]
    field: Field
    defect: Float[Tensor, "inner paths dim"]
    residual: PathValues
    length: PathValues


def evaluate_ends(connection: Connection, nodes: Nodes) -> Float[Tensor, "2 paths dim"]:
    """Tangent scores at both ends of each curve."""
    both = nodes[[0, -1]]
    t = torch.tensor([0.0, 1.0]).to(nodes)[:, None]
    return connection.manifold.to_tangent(both, evaluate_score(connection.score, t, both))


def evaluate(
    connection: Connection, ends: Float[Tensor, "2 paths dim"], nodes: Nodes
) -> Evaluation:
    """Field, defect, residual and length of curves with known scores at their ends: n - 1
    evaluations of the connection's field per path, in one batch."""
    count = len(nodes)
    h = 1.0 / (count - 1)
    manifold = connection.manifold
    inner = nodes[1:-1]
    times = torch.linspace(0, 1, count, dtype=torch.float64)
    velocity = manifold.to_tangent(inner, (nodes[2:] - nodes[:-2]) / (2 * h))

    def with_ends(score: Tensor) -> Tensor:
        return torch.cat([ends[:1], score, ends[1:]])

    def log_density(score: Tensor) -> Tensor:
        return _log_density(connection, _velocity(connection, nodes), with_ends(score))[1:-1]

    field = connection.field(times[1:-1].to(nodes)[:, None], inner, velocity, log_density)
    second = (nodes[2:] - 2 * inner + nodes[:-2]) / h**2
    defect = manifold.to_tangent(inner, second - field.acceleration)
    residual = _relative(connection, nodes, velocity, defect, field.acceleration)
    length = _length(connection, nodes, with_ends(field.score))
    return Evaluation(nodes, velocity, field, defect, residual, length)


def _relative(
    connection: Connection, nodes: Tensor, velocity: Tensor, defect: Tensor, force: Tensor
) -> Tensor:
    square = velocity.square().sum(-1, keepdim=True).clamp_min(1e-30)

    def bending(a: Tensor) -> Tensor:
        a = connection.manifold.to_tangent(nodes[1:-1], a)
        return (a - (a * velocity).sum(-1, keepdim=True) / square * velocity) / square

    rounding = ROUNDING * torch.finfo(nodes.dtype).eps * (len(nodes) - 1) ** 2
    noise = rounding * torch.linalg.vector_norm(nodes[1:-1], dim=-1) / square[..., 0]
    wrong = (bending(defect).square().sum(-1) - noise**2).mean(0).clamp_min(0).sqrt()
    asked = bending(force).square().sum(-1).mean(0).sqrt()
    span = torch.linalg.vector_norm(nodes[1:] - nodes[:-1], dim=-1).sum(0).clamp_min(1e-30)
    return wrong / torch.maximum(asked, LEAST_BENDING / span)


def _velocity(connection: Connection, nodes: Tensor) -> Tensor:
    """Derivative of the spline through the nodes, at the nodes."""
    derivative = spline_matrix(len(nodes), _times(len(nodes)), 1).to(nodes)
    slope = torch.tensordot(derivative, nodes - nodes[0], dims=1)
    return connection.manifold.to_tangent(nodes, slope)


def _log_density(connection: Connection, velocity: Tensor, score: Tensor) -> Tensor:
    """∫ s·γ' dt at the nodes, from the scores at all of them, with the reference of lengths."""
    integral = spline_matrix(len(score), _times(len(score)), -1).to(score)
    rate = (score * velocity).sum(-1)
    return relative(connection, torch.tensordot(integral, rate, dims=1))


def _times(count: int) -> tuple[float, ...]:
    return tuple(torch.linspace(0, 1, count, dtype=torch.float64).tolist())


def _length(connection: Connection, nodes: Tensor, score: Tensor) -> Tensor:
    velocity = _velocity(connection, nodes)
    speed = connection.speed(velocity, score, _log_density(connection, velocity, score))
    fine, weights = _fine_rule()
    matrix = spline_matrix(len(nodes), fine, 0).to(nodes)
    at_fine = torch.tensordot(matrix, speed.clamp_min(1e-30).log(), dims=1).exp()
    length = torch.tensordot(weights.to(nodes), at_fine, dims=1)
    return torch.where((speed == 0).all(0), 0, length)


@lru_cache(maxsize=1)
def _fine_rule() -> tuple[tuple[float, ...], Tensor]:
    """Composite Gauss-Legendre rule on [0, 1], because the integrand may be a narrow peak."""
    x, w = np.polynomial.legendre.leggauss(4)
    t = np.arange(64)[:, None] / 64 + (x + 1) / 128
    return tuple(t.ravel().tolist()), torch.from_numpy(np.tile(w / 128, 64))
