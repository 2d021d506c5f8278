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
from diffusion_geodesics.length import LengthProfile, relative
from diffusion_geodesics.metric import Connection, Field
from diffusion_geodesics.path import spline_matrix

LEAST_BENDING = 0.1
"""Curvature times chord below which the residual is no longer relative."""

ROUNDING = 4.0
"""Rounding error of a node in units of its last digit; it is subtracted from the residual."""


@dataclass(frozen=True)
class Ends:
    """Tangent scores at both ends of each path, evaluated once."""

    start: Float[Tensor, "paths dim"]
    end: Float[Tensor, "paths dim"]


@dataclass(frozen=True)
class Evaluation:
    """A batch of curves with n intervals, and what one evaluation of the score says about them.

    Args:
        nodes: shape (n+1, paths, dim).
        velocity: central differences at interior nodes, shape (n-1, paths, dim).
        field: the connection's field at interior nodes.
        defect: r, shape (n-1, paths, dim).
        residual: ρ, shape (paths,).
        length: length by the spline through the nodes, with the reference of ``Profile.length``,
            shape (paths,).
    """

    nodes: Float[Tensor, "nodes paths dim"]
    velocity: Float[Tensor, "inner paths dim"]
    field: Field
    defect: Float[Tensor, "inner paths dim"]
    residual: Float[Tensor, " paths"]
    length: Float[Tensor, " paths"]


def evaluate_ends(connection: Connection, nodes: Float[Tensor, "nodes paths dim"]) -> Ends:
    """Tangent scores at both ends."""
    both = nodes[[0, -1]]
    t = torch.tensor([0.0, 1.0]).to(nodes)[:, None]
    score = connection.manifold.to_tangent(both, evaluate_score(connection.score, t, both))
    return Ends(score[0], score[1])


def evaluate(
    connection: Connection, ends: Ends, nodes: Float[Tensor, "nodes paths dim"]
) -> Evaluation:
    """Field, defect, residual and length of curves.

    Args:
        connection: the geometry.
        ends: scores at the ends.
        nodes: of the curves, equidistant in t.

    Cost:
        n - 1 evaluations of the connection's field per path, in one batch.
    """
    count = len(nodes)
    h = 1.0 / (count - 1)
    manifold = connection.manifold
    inner = nodes[1:-1]
    times = torch.linspace(0, 1, count, dtype=torch.float64)
    velocity = manifold.to_tangent(inner, (nodes[2:] - nodes[:-2]) / (2 * h))

    def log_density(score: Tensor) -> Tensor:
        slope = _velocity(connection, nodes)
        return _log_density(connection, slope, _with_ends(ends, score))[1:-1]

    field = connection.field(times[1:-1].to(nodes)[:, None], inner, velocity, log_density)
    second = (nodes[2:] - 2 * inner + nodes[:-2]) / h**2
    defect = manifold.to_tangent(inner, second - field.acceleration)
    residual = _relative(connection, nodes, velocity, defect, field.acceleration)
    length = _length(connection, nodes, _with_ends(ends, field.score))
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


def _with_ends(ends: Ends, score: Tensor) -> Tensor:
    return torch.cat([ends.start[None], score, ends.end[None]])


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
    count = len(nodes)
    velocity = _velocity(connection, nodes)
    log_density = _log_density(connection, velocity, score)
    speed = connection.speed(velocity, score, log_density)
    fine, weights = _fine_rule()
    matrix = spline_matrix(count, fine, 0).to(nodes)
    length = torch.tensordot(
        weights.to(nodes),
        torch.tensordot(matrix, speed.clamp_min(1e-30).log(), dims=1).exp(),
        dims=1,
    )
    return torch.where((speed == 0).all(0), 0, length)


@lru_cache(maxsize=1)
def _fine_rule() -> tuple[tuple[float, ...], Tensor]:
    """Composite Gauss-Legendre rule on [0, 1], because the integrand may be a narrow peak."""
    x, w = np.polynomial.legendre.leggauss(4)
    left = np.arange(64)[:, None] / 64
    return tuple(float(t) for t in (left + (x + 1) / 128).ravel()), torch.from_numpy(
        np.tile(w / 128, 64)
    )


def error_bar(
    profile: LengthProfile, node_length: Float[Tensor, "*batch"]
) -> Float[Tensor, "*batch"]:
    """Error bar of a length: the larger of the difference between two quadratures and the error
    estimate of the second one."""
    return torch.maximum((profile.length - node_length).abs(), profile.length_error)
