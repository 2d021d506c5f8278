r"""The discrete Euler-Lagrange equation of a curve at equidistant nodes.

.. math:: r_i = \frac{x_{i+1} - 2 x_i + x_{i-1}}{h^2} - a(x_i, v_i), \qquad
          v_i = \frac{x_{i+1} - x_{i-1}}{2h}

and its size relative to the bending that the density asks for,

.. math:: \rho = \frac{\| P_\perp r / |v|^2 \|}{\| P_\perp a / |v|^2 \|},

both projected onto the tangent space of the manifold. Where the density asks for (almost) no
bending the denominator is 0.1 over the chord, so that a straight line has residual 0, not 0/0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.length import Profile, relative
from diffusion_geodesics.metric import Connection, Field
from diffusion_geodesics.path import spline_matrix

LEAST_BENDING = 0.1
"""Bending, times chord, below which the residual is no longer relative."""

ROUNDING = 4.0
"""Rounding error of a node, in units of its last digit; what it explains is no residual."""


@dataclass(frozen=True)
class Ends:
    """Tangent scores at both ends, evaluated once: shape (paths, dim)."""

    start: Float[Tensor, "paths dim"]
    end: Float[Tensor, "paths dim"]


@dataclass(frozen=True)
class Evaluation:
    """A batch of curves and what one call to the score says about them (n intervals).

    Args:
        nodes: shape (n+1, paths, dim).
        velocity: central differences at interior nodes, shape (n-1, paths, dim).
        field: the connection's field at interior nodes.
        defect: r, shape (n-1, paths, dim).
        residual: ρ, shape (paths,).
        length: length by the spline through the nodes, with the same reference as
            :attr:`Profile.length`, shape (paths,).
    """

    nodes: Float[Tensor, "nodes paths dim"]
    velocity: Float[Tensor, "inner paths dim"]
    field: Field
    defect: Float[Tensor, "inner paths dim"]
    residual: Float[Tensor, " paths"]
    length: Float[Tensor, " paths"]


def evaluate_ends(connection: Connection, nodes: Float[Tensor, "nodes paths dim"]) -> Ends:
    """Tangent scores at both ends. Cost: two score evaluations a path, one call."""
    both = nodes[[0, -1]]
    t = torch.tensor([0.0, 1.0]).to(nodes)[:, None]
    score = connection.manifold.to_tangent(both, connection.score(t, both))
    return Ends(score[0], score[1])


def evaluate(
    connection: Connection, ends: Ends, nodes: Float[Tensor, "nodes paths dim"]
) -> Evaluation:
    """The Euler-Lagrange residual of curves. Cost: n-1 score evaluations a path, one call."""
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
    """∫ s·γ' dt at the nodes, from the scores at all of them; relative to the start, or, where
    the geometry is not scale-free, to the mean of both ends."""
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
    """Composite Gauss-Legendre rule on [0, 1]: the integrand may be a narrow peak."""
    x, w = np.polynomial.legendre.leggauss(4)
    left = np.arange(64)[:, None] / 64
    return tuple(float(t) for t in (left + (x + 1) / 128).ravel()), torch.from_numpy(
        np.tile(w / 128, 64)
    )


def error_bar(profile: Profile, node_length: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
    """|length at fresh points - length at the nodes|, and the fresh rule's own error."""
    return torch.maximum((profile.length - node_length).abs(), profile.length_error)
