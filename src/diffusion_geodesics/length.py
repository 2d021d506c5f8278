r"""Lengths and densities along a path by quadrature of the score.

Along a path :math:`\log p(\gamma(t)) - \log p(\gamma(0)) = \int_0^t s \cdot \gamma'\,du`, so a
score gives densities and lengths relative to the start. Clenshaw-Curtis quadrature at Chebyshev
points; the same rule with half the points gives the error estimate.

References
----------
Yu et al., CVPR 2025, equation 9. Trefethen, Is Gauss quadrature better than Clenshaw-Curtis?,
SIAM Review 2008.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Path


@lru_cache(maxsize=16)
def chebyshev(intervals: int) -> tuple[Tensor, Tensor]:
    """Chebyshev points t in [0, 1], shape (n+1,), and the matrix (n+1, n+1) that integrates
    values at them from 0 to each of them."""
    x = -np.cos(np.pi * np.arange(intervals + 1) / intervals)
    values = np.polynomial.chebyshev.chebvander(x, intervals)
    integrals = np.stack(
        [
            np.polynomial.chebyshev.chebval(x, np.polynomial.chebyshev.chebint(e, lbnd=-1))
            for e in np.eye(intervals + 1)
        ],
        -1,
    )
    matrix = 0.5 * integrals @ np.linalg.inv(values)
    return torch.from_numpy((x + 1) / 2), torch.from_numpy(matrix)


@dataclass(frozen=True)
class Profile:
    """Density and length along paths, at Chebyshev points of the parameter.

    Args:
        t: parameters, shape (time,).
        points: γ(t), shape (time, *batch, dim).
        score: the score there, before it is projected onto the tangent space.
        log_density: log p(γ(t)) - log p(γ(0)) in nats, shape (time, *batch).
        length: ∫ (p(γ)/p(γ(0)))^-α |γ'| dt, shape (*batch,). For a weight f that is no power of
            the density it is ∫ exp(-f(l)) |γ'| dt with l relative to the mean of both ends, and
            the same as ``distance``.
        arc_length: the same integral from 0 to t, shape (time, *batch).
        distance: the same integral with the density relative to the geometric mean of its values
            at the two ends, which does not depend on the direction of travel, shape (*batch,).
        length_error: difference to the rule with every second point, shape (*batch,).
        score_evals: score evaluations spent; one call.
    """

    t: Float[Tensor, " time"]
    points: Float[Tensor, "time *batch dim"]
    score: Float[Tensor, "time *batch dim"]
    log_density: Float[Tensor, "time *batch"]
    length: Float[Tensor, "*batch"]
    arc_length: Float[Tensor, "time *batch"]
    distance: Float[Tensor, "*batch"]
    length_error: Float[Tensor, "*batch"]
    score_evals: int

    def log_density_at(self, t: Float[Tensor, " n"]) -> Float[Tensor, "n *batch"]:
        """Relative log density at any parameters, by barycentric interpolation."""
        return interpolate_chebyshev(self.t, self.log_density, t)

    def at_arc_length(self, fraction: Float[Tensor, " n"]) -> Float[Tensor, "n *batch"]:
        """The parameters t at which given fractions of the metric length are reached."""
        fine = torch.linspace(0, 1, 1025, dtype=torch.float64)
        arc = interpolate_chebyshev(self.t, self.arc_length, fine).cpu()
        shape = arc.shape[1:]
        columns = [
            np.interp(fraction.cpu().numpy() * float(a[-1]), np.maximum.accumulate(a), fine)
            for a in arc.reshape(len(fine), -1).T.numpy()
        ]
        return torch.from_numpy(np.stack(columns, -1)).reshape(len(fraction), *shape)


def interpolate_chebyshev(
    nodes: Float[Tensor, " time"], values: Float[Tensor, "time *batch"], t: Float[Tensor, " n"]
) -> Float[Tensor, "n *batch"]:
    """Values at any parameters, from values at Chebyshev points, by barycentric interpolation."""
    n = len(nodes)
    sign = torch.ones(n, dtype=torch.float64)
    sign[1::2] = -1
    sign[0] *= 0.5
    sign[-1] *= 0.5
    gap = t.to("cpu", torch.float64)[:, None] - nodes.cpu()
    hit = gap.abs() < 1e-14
    weights = torch.where(hit.any(1, keepdim=True), hit.double(), sign / torch.where(hit, 1, gap))
    matrix = weights / weights.sum(1, keepdim=True)
    return torch.tensordot(matrix.to(values), values, dims=1)


def _integrate(speed: Tensor, t: Tensor) -> Tensor:
    """Cumulative integral of a speed at Chebyshev points t. Its logarithm is smooth where it has
    a narrow peak, so the logarithm is interpolated to a finer rule first."""
    fine, matrix = chebyshev(4 * (len(t) - 1))
    peaks = interpolate_chebyshev(t, speed.clamp_min(1e-30).log(), fine).exp()
    integral = torch.tensordot(matrix[::4].to(speed), peaks, dims=1)
    return torch.where((speed == 0).all(0), 0, integral)


def relative(
    connection: Connection, log_density: Float[Tensor, "time *batch"]
) -> Float[Tensor, "time *batch"]:
    """Log density with the reference that lengths take, from that relative to the start: the
    start itself, or the mean of both ends for a geometry that is not scale-free."""
    return log_density if connection.scale_free else log_density - 0.5 * log_density[-1]


def measure(connection: Connection, path: Path, *, intervals: int = 64) -> Profile:
    """Density and length along a path.

    Args:
        connection: the metric, through its score.
        path: any path; its manifold is the connection's.
        intervals: even number of Chebyshev intervals, at least 4.

    For a density that changes with t the log density is the integral of s·γ' all the same: the
    change of log p with t at a fixed point is not in a score.

    Cost: ``intervals + 1`` score evaluations a path, in one call.
    """
    if intervals < 4 or intervals % 2:
        raise ValueError(f"intervals is {intervals}; expected an even number of at least 4")
    t, integrate = chebyshev(intervals)
    points, velocity = path(t), path(t, 1)
    times = t.to(points).reshape(-1, *[1] * (points.ndim - 2))
    raw = connection.score(times, points)
    score = connection.manifold.to_tangent(points, raw)
    rate = (score * velocity).sum(-1)
    log_density = torch.tensordot(integrate.to(rate), rate, dims=1)
    speed = connection.speed(velocity, score, relative(connection, log_density))
    arc = _integrate(speed, t)
    symmetric = connection.speed(velocity, score, log_density - 0.5 * log_density[-1])
    _, half = chebyshev(intervals // 2)
    coarse_density = torch.tensordot(half.to(rate), rate[::2], dims=1)
    coarse_speed = connection.speed(velocity[::2], score[::2], relative(connection, coarse_density))
    coarse = _integrate(coarse_speed, t[::2])[-1]
    return Profile(
        t.to(points),
        points,
        raw,
        log_density,
        arc[-1],
        arc,
        _integrate(symmetric, t)[-1],
        (arc[-1] - coarse).abs(),
        log_density.numel(),
    )
