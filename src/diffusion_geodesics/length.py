r"""Lengths and log densities along a path, by quadrature of the score.

Along a path :math:`\log p(\gamma(t)) - \log p(\gamma(0)) = \int_0^t s \cdot \gamma'\,du`, so a
score gives log densities and lengths relative to the start. The integrals are evaluated by
Clenshaw-Curtis quadrature at Chebyshev points; the same rule with every second point gives the
error estimate (Yu et al., CVPR 2025, equation 9; Trefethen, SIAM Review 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import evaluate
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Curve, Path
from diffusion_geodesics.points import Values


@lru_cache(maxsize=16)
def chebyshev(intervals: int) -> tuple[Tensor, Tensor]:
    """The n + 1 Chebyshev points t in [0, 1] of n ≥ 1 intervals, and the matrix that maps values at
    these points to their integrals from 0 to each point."""
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


def one_pair(x: Tensor, batch: Sequence[int], index: int, leading: int) -> Tensor:
    """One element, by its flat index, of the batch axes of a tensor (*lead, *batch, *rest) with
    ``leading`` axes before them."""
    lead, rest = x.shape[:leading], x.shape[leading + len(batch) :]
    return x.reshape(*lead, -1, *rest).select(leading, index)


Measured = TypeVar("Measured", bound="LengthProfile")


@dataclass(frozen=True)
class LengthProfile:
    """Length along paths, at increasing parameters.

    Args:
        arc_length: metric length from 0 to t; ``length`` is that of the whole path.
        distance: the length in units that do not depend on which end is the start. Equal to
            ``length`` for geometries without a reference density.
        length_error: estimated quadrature error of ``length``.
        nfe: score evaluations spent.
    """

    t: Float[Tensor, " time"]
    points: Curve
    arc_length: Float[Tensor, "time *batch"]
    length: Values
    distance: Values
    length_error: Values
    nfe: int

    _along: ClassVar[tuple[str, ...]] = ("points", "arc_length")
    """Fields with an axis of time before those of the batch."""
    _whole: ClassVar[tuple[str, ...]] = ("length", "distance", "length_error")
    """Fields with the axes of the batch alone."""

    def pair(self: Measured, index: int) -> Measured:
        """The profile of one path of a batch, by flat index; ``nfe`` stays that of the batch."""
        batch = self.length.shape
        along = {name: one_pair(getattr(self, name), batch, index, 1) for name in self._along}
        whole = {name: one_pair(getattr(self, name), batch, index, 0) for name in self._whole}
        return replace(self, **along, **whole)


@dataclass(frozen=True)
class Profile(LengthProfile):
    r"""Length and log density along paths, at Chebyshev points of the parameter.

    ``length`` is :math:`\int (p(\gamma) / p(\gamma(0)))^{-\alpha} |\gamma'|\,dt`; ``distance`` is
    the same integral with the density relative to the geometric mean of its values at the two ends.
    For a weight f that is no power of the density both are :math:`\int e^{-f(l)} |\gamma'|\,dt`
    with l relative to the mean of the log densities at the ends. ``length_error`` is the difference
    to the rule with every second point.

    Args:
        score: the score at ``points``, not projected onto the tangent space.
        log_density: log p(γ(t)) - log p(γ(0)) in nats.
        log_density_error: largest difference of it along the path to the rule with every second
            point, in nats.
    """

    score: Float[Tensor, "time *batch dim"]
    log_density: Float[Tensor, "time *batch"]
    log_density_error: Values

    _along: ClassVar[tuple[str, ...]] = (*LengthProfile._along, "score", "log_density")
    _whole: ClassVar[tuple[str, ...]] = (*LengthProfile._whole, "log_density_error")

    def log_density_at(self, t: Float[Tensor, " n"]) -> Float[Tensor, "n *batch"]:
        """Log density relative to the start at any parameters in [0, 1]."""
        return interpolate_chebyshev(self.t, self.log_density, t)

    def at_arc_length(self, fraction: Float[Tensor, " n"]) -> Float[Tensor, "n *batch"]:
        """The parameters at which given fractions (in [0, 1]) of the metric length are reached."""
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
    """Barycentric interpolation of values at all Chebyshev points of one rule, see
    :func:`chebyshev`, to parameters in [0, 1]."""
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
    """Cumulative integral of a speed given at Chebyshev points t. Where the speed has a narrow
    peak its logarithm is smoother, so the logarithm is interpolated to a finer rule first."""
    fine, matrix = chebyshev(4 * (len(t) - 1))
    peaks = interpolate_chebyshev(t, speed.clamp_min(1e-30).log(), fine).exp()
    integral = torch.tensordot(matrix[::4].to(speed), peaks, dims=1)
    return torch.where((speed == 0).all(0), 0, integral)


def relative(
    connection: Connection, log_density: Float[Tensor, "time *batch"]
) -> Float[Tensor, "time *batch"]:
    """Log density relative to the reference that ``length`` uses: the start of the path, as given,
    if the geometry is scale-free, otherwise the mean of the log densities at both ends."""
    return log_density if connection.scale_free else log_density - 0.5 * log_density[-1]


def measure(connection: Connection, path: Path, *, intervals: int = 64) -> Profile:
    """Length and log density along a path on the connection's manifold.

    For a density that changes with t, the log density is still the integral of s·γ': the change of
    log p with t at a fixed point cannot be obtained from a score. ``intervals`` is the number of
    Chebyshev intervals, even and at least 4; `ValueError` otherwise.

    Cost: ``intervals + 1`` score evaluations per path, in one batch.
    """
    if intervals < 4 or intervals % 2:
        raise ValueError(f"intervals is {intervals}; expected an even number of at least 4")
    t, integrate = chebyshev(intervals)
    points, velocity = path(t), path(t, 1)
    times = t.to(points).reshape(-1, *[1] * (points.ndim - 2))
    raw = evaluate(connection.score, times, points)
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
        t=t.to(points),
        points=points,
        arc_length=arc,
        length=arc[-1],
        distance=_integrate(symmetric, t)[-1],
        length_error=(arc[-1] - coarse).abs(),
        nfe=log_density.numel(),
        score=raw,
        log_density=log_density,
        log_density_error=(log_density[::2] - coarse_density).abs().amax(0),
    )
