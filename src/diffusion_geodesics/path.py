r"""Paths: frozen curves :math:`\gamma: [0, 1] \to R^d`, endpoints included.

A path is called with curve parameters and returns points (``order=0``) or derivatives with respect
to t (``order=1`` or ``2``), with the time axis first.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline as ScipyCubicSpline
from torch import Tensor

from diffusion_geodesics.manifold import Flat, Manifold, Sphere, angle_between
from diffusion_geodesics.points import Points, Values, norm

Curve = Float[Tensor, "time *batch dim"]
"""Points of a path, or derivatives, the time axis first."""


class Path(ABC):
    """A frozen curve with parameter t in [0, 1]."""

    @abstractmethod
    def __call__(self, t: Float[Tensor, " time"], order: int = 0) -> Curve:
        r"""Points, or derivatives :math:`d^k \gamma / dt^k` of order k, at parameters t.

        `ValueError` if t is outside [0, 1], or the path has no derivative of this order.
        """

    def arc_length(self, points: int = 257) -> Float[Tensor, "time *batch"]:
        """Euclidean length from the start, by chords between equidistant parameters in [0, 1]."""
        x = self(torch.linspace(0, 1, points, dtype=torch.float64))
        steps = torch.linalg.vector_norm(x[1:] - x[:-1], dim=-1)
        return torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])


def _check(t: Tensor, order: int, highest: int) -> None:
    if not 0 <= order <= highest:
        raise ValueError(f"order is {order}; this path has derivatives of order 0 to {highest}")
    if t.ndim != 1 or not bool(((t >= -1e-9) & (t <= 1 + 1e-9)).all()):
        raise ValueError(f"t has shape {tuple(t.shape)}; expected (time,) with values in [0, 1]")


def _check_nodes(nodes: Tensor) -> None:
    if nodes.ndim < 2 or len(nodes) < 2:
        raise ValueError(f"nodes has shape {tuple(nodes.shape)}; expected (n, ..., dim) with n ≥ 2")


def _column(t: Tensor, like: Tensor) -> Tensor:
    return t.to(like).reshape(-1, *[1] * like.ndim)


@dataclass(frozen=True)
class _Between(Path):
    """A path given by its ends."""

    start: Points
    end: Points


@dataclass(frozen=True)
class Line(_Between):
    """Linear interpolation (lerp), :math:`(1 - t) x_0 + t x_1`."""

    def __call__(self, t: Float[Tensor, " time"], order: int = 0) -> Curve:
        _check(t, order, 2)
        if order == 0:
            return torch.lerp(self.start, self.end, _column(t, self.start))
        slope = self.end - self.start if order == 1 else torch.zeros_like(self.start)
        return slope.expand(len(t), *slope.shape)


@dataclass(frozen=True)
class GreatArc(_Between):
    r"""Spherical interpolation (slerp) with the norm interpolated linearly.

    .. math:: \gamma(t) = r(t) \frac{\sin((1-t)\theta)\,\hat x_0 + \sin(t\theta)\,\hat x_1}
              {\sin\theta}, \qquad r(t) = (1-t)|x_0| + t|x_1|,

    so both ends are exact. If the end points are parallel or one is the origin, the path is a line.
    Between antipodal points it is a half circle through an arbitrary but fixed direction.
    """

    def __call__(self, t: Float[Tensor, " time"], order: int = 0) -> Curve:
        _check(t, order, 2)
        r0, r1 = norm(self.start), norm(self.end)
        a, b = self.start / r0.clamp_min(1e-30), self.end / r1.clamp_min(1e-30)
        a, b = torch.where(r0 > 0, a, b), torch.where(r1 > 0, b, a)
        velocity = Sphere(1.0).log(a, b)
        angle = norm(velocity)
        u = _column(t, self.start)
        cos, sin = (u * angle).cos(), velocity * u * torch.sinc(u * angle / torch.pi)
        point = a * cos + sin
        radius, slope = (1 - u) * r0 + u * r1, r1 - r0
        if order == 0:
            return radius * point
        turn = velocity * cos - a * angle * (u * angle).sin()
        if order == 1:
            return radius * turn + slope * point
        return -radius * angle**2 * point + 2 * slope * turn


@dataclass(frozen=True)
class HalfwayNorm(_Between):
    """The direction of lerp with the mean of the norms of lerp and slerp (hlerp)."""

    def __call__(self, t: Float[Tensor, " time"], order: int = 0) -> Curve:
        _check(t, order, 0)
        u = _column(t, self.start)
        line = (1 - u) * self.start + u * self.end
        short, full = norm(line), (1 - u) * norm(self.start) + u * norm(self.end)
        return line * (0.5 * (short + full) / short.clamp_min(1e-30))


@lru_cache(maxsize=256)
def spline_matrix(nodes: int, times: tuple[float, ...], order: int) -> Tensor:
    """The matrix (times, nodes) that evaluates the not-a-knot cubic spline through values at
    equidistant nodes in [0, 1], or its derivative; its integral from 0 for order -1."""
    grid = np.linspace(0, 1, nodes)
    if nodes < 4:
        basis = np.stack([np.poly1d(np.polyfit(grid, e, nodes - 1)) for e in np.eye(nodes)])
        polys = [np.poly1d(p) for p in basis]
        polys = [p.integ() if order < 0 else p.deriv(order) if order else p for p in polys]
        return torch.from_numpy(np.stack([p(np.asarray(times)) for p in polys], -1))
    spline = ScipyCubicSpline(grid, np.eye(nodes), axis=0, bc_type="not-a-knot")
    if order < 0:
        return torch.from_numpy(spline.antiderivative()(np.asarray(times)))
    return torch.from_numpy(spline(np.asarray(times), order))


@dataclass(frozen=True)
class Spline(Path):
    """Cubic spline (not-a-knot) through equidistant nodes, projected onto a manifold.

    Args:
        nodes: points at t = i/(n-1), shape (n, *batch, dim), n ≥ 2, endpoints included.
        manifold: the space of the curve; points of the spline are projected onto it.
    """

    nodes: Float[Tensor, "nodes *batch dim"]
    manifold: Manifold = field(default_factory=Flat)

    def __post_init__(self) -> None:
        _check_nodes(self.nodes)

    def _raw(self, t: Tensor, order: int) -> Tensor:
        times = tuple(t.detach().to("cpu", torch.float64).clamp(0, 1).tolist())
        matrix = spline_matrix(len(self.nodes), times, order).to(self.nodes)
        moved = torch.tensordot(matrix, self.nodes - self.nodes[0], dims=1)
        return moved if order else self.nodes[0] + moved

    def __call__(self, t: Float[Tensor, " time"], order: int = 0) -> Curve:
        flat = self.manifold.curvature == 0
        _check(t, order, 2 if flat else 1)
        if flat:
            return self._raw(t, order)
        raw = self._raw(t, 0)
        point = self.manifold.project(raw)
        if order == 0:
            return point
        return self.manifold.to_tangent(point, self._raw(t, 1)) * (norm(point) / norm(raw))


@dataclass(frozen=True)
class Polyline(Path):
    """Straight segments between equidistant nodes, shape (n, *batch, dim), n ≥ 2. At a node the
    derivative is that of the segment after it."""

    nodes: Float[Tensor, "nodes *batch dim"]

    def __post_init__(self) -> None:
        _check_nodes(self.nodes)

    def __call__(self, t: Float[Tensor, " time"], order: int = 0) -> Curve:
        _check(t, order, 1)
        segments = len(self.nodes) - 1
        index = (t * segments).floor().long().clamp(0, segments - 1).to(self.nodes.device)
        left, right = self.nodes[index], self.nodes[index + 1]
        if order == 1:
            return (right - left) * segments
        u = _column(t, self.nodes[0]) * segments - index.reshape(-1, *[1] * (left.ndim - 1))
        return left + u * (right - left)


def chord(x0: Points, x1: Points, manifold: Manifold) -> Path:
    """The manifold's own geodesic: a line in flat space (lerp), a great arc on a sphere (slerp),
    onto which the end points are projected."""
    if manifold.curvature == 0:
        return Line(x0, x1)
    return GreatArc(manifold.project(x0), manifold.project(x1))


def separation(x0: Points, x1: Points, manifold: Manifold) -> Values:
    """Euclidean length of :func:`chord` between two points of a manifold."""
    if manifold.curvature == 0:
        return torch.linalg.vector_norm(x1 - x0, dim=-1)
    return angle_between(x0, x1) / manifold.curvature**0.5
