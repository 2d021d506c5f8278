r"""The path of a ray: Hermite interpolation through points with given velocities.

If accelerations are given too it is the quintic Hermite polynomial on every interval (error of
order 6 in the length of the interval), otherwise the cubic one (order 4). Every ray has its own
times.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.manifold import Flat, Manifold
from diffusion_geodesics.path import Path

_CUBIC = ((1, 0, -3, 2), (0, 1, -2, 1), (0, 0, 3, -2), (0, 0, -1, 1))
"""Coefficients of 1, u, u², u³ of the basis for x0, v0, x1, v1."""

_QUINTIC = (
    (1, 0, 0, -10, 15, -6),
    (0, 1, 0, -6, 8, -3),
    (0, 0, 0.5, -1.5, 1.5, -0.5),
    (0, 0, 0, 10, -15, 6),
    (0, 0, 0, -4, 7, -3),
    (0, 0, 0, 0.5, -1, 0.5),
)
"""The same for x0, v0, a0, x1, v1, a1."""


@dataclass(frozen=True)
class Hermite(Path):
    """A curve through nodes with given derivatives; its parameter is scaled to [0, 1].

    Args:
        t: times of the nodes, not decreasing, shape (nodes, *batch); the first and the last of
            each ray become the path's parameters 0 and 1.
        nodes: points, shape (nodes, *batch, dim).
        velocity: derivatives with respect to t, shape (nodes, *batch, dim).
        acceleration: second derivatives, or None.
        manifold: the space of the curve; its points are projected onto it.

    Raises:
        ValueError: fewer than two nodes, or times that decrease.
    """

    t: Float[Tensor, "nodes *batch"]
    nodes: Float[Tensor, "nodes *batch dim"]
    velocity: Float[Tensor, "nodes *batch dim"]
    acceleration: Float[Tensor, "nodes *batch dim"] | None = None
    manifold: Manifold = field(default_factory=Flat)

    def __post_init__(self) -> None:
        if len(self.t) < 2:
            raise ValueError(f"got {len(self.t)} nodes; expected at least 2")
        if bool((self.t[1:] < self.t[:-1]).any()):
            raise ValueError("t decreases; expected the times of the nodes in order")

    def __call__(
        self, t: Float[Tensor, " time"], order: int = 0
    ) -> Float[Tensor, "time *batch dim"]:
        flat = self.manifold.curvature == 0
        highest = 2 if flat else 1
        if not 0 <= order <= highest:
            raise ValueError(f"order is {order}; this path has derivatives of order 0 to {highest}")
        if not bool(((t >= -1e-9) & (t <= 1 + 1e-9)).all()):
            raise ValueError("t holds a value outside [0, 1]; expected values in [0, 1]")
        if flat:
            return self._raw(t, order)
        raw = self._raw(t, 0)
        point = self.manifold.project(raw)
        if order == 0:
            return point
        new, old = (torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in (point, raw))
        return self.manifold.to_tangent(point, self._raw(t, 1)) * (new / old)

    def _raw(self, t: Tensor, order: int) -> Tensor:
        span = self.t[-1] - self.t[0]
        column = t.to(self.nodes).clamp(0, 1).reshape(-1, *[1] * span.ndim)
        when = self.t[0] + column * span
        right = torch.where(when > self.t[0], self._search(when), self._search(when, right=True))
        right = right.clamp(1, len(self.t) - 1)
        left = right - 1
        t0, t1 = self.t.gather(0, left), self.t.gather(0, right)
        h = (t1 - t0)[..., None]
        u = (when[..., None] - t0[..., None]) / torch.where(h > 0, h, 1)
        values = [self.nodes, self.velocity]
        table = _CUBIC
        if self.acceleration is not None:
            values, table = [*values, self.acceleration], _QUINTIC
        corners = [
            _pick(value, side) * h**power
            for side in (left, right)
            for power, value in enumerate(values)
        ]
        origin = corners[0]
        corners[len(values)] = corners[len(values)] - origin
        total = torch.zeros_like(origin)
        for corner, coefficients in zip(corners[1:], table[1:], strict=True):
            total = total + corner * _derivative(coefficients, u, order)
        if not order:
            return origin + total
        return total * (span[..., None] / torch.where(h > 0, h, torch.inf)) ** order

    def _search(self, when: Tensor, right: bool = False) -> Tensor:
        """Index of the first node at or (``right``) after a time, for each ray."""
        times, wanted = (x.reshape(len(x), -1).T.contiguous() for x in (self.t, when))
        return torch.searchsorted(times, wanted, right=right).T.reshape(when.shape)


def _pick(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(0, index[..., None].expand(*index.shape, values.shape[-1]))


def _derivative(coefficients: tuple[float, ...], u: Tensor, order: int) -> Tensor:
    """A polynomial, or its derivative, by Horner's scheme."""
    for _ in range(order):
        coefficients = tuple(k * c for k, c in enumerate(coefficients))[1:]
    value = torch.zeros_like(u)
    for c in reversed(coefficients):
        value = value * u + c
    return value
