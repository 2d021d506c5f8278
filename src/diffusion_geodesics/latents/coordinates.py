r"""Coordinates in which the geometry of two latents takes place.

Noise of dimension d has norm about √d, and the two latents of a pair have norms of their own. On
the *shell* a latent is :math:`x = (r(t)/R)\, y` with y on the sphere of radius R and :math:`r(t) =
(1-t)\, r_0 + t\, r_1`, so that both ends are exact and nothing in between loses norm. The score of
y is :math:`(r/R)\, s(x)`. It depends on t where the norms differ, and with it the metric, slightly.
A *moving frame* adds an offset: :math:`x = (r(t)/R)\, y + w(t)`.

Shapes: ``pairs`` stands for no axis, for one pair of latents, or for one axis of several pairs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.path import Curve, Spline
from diffusion_geodesics.points import Points, Times

Index = Int[Tensor, " paths"] | int
"""Numbers of pairs, or of one."""


class Coordinates(ABC):
    """Coordinates y for the latents x between two ends."""

    @property
    @abstractmethod
    def manifold(self) -> Manifold:
        """Where y lives."""

    @abstractmethod
    def scale(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*scales"]:
        """The factor x/y at curve parameters t; with an axis of pairs last where they differ."""

    @abstractmethod
    def slope(self) -> Float[Tensor, "*pairs"]:
        """The derivative of the scale, which does not depend on t."""

    @abstractmethod
    def select(self, index: Index) -> Coordinates:
        """The coordinates of some of the pairs, or of one, without an axis of pairs."""

    def score(self, score: Score) -> Score:
        """The score of y, from that of x. Costs what the score of x costs."""
        return CoordinateScore(score, self)

    def offset(self, t: Float[Tensor, " time"], order: int = 0) -> Curve:
        """w(t), or its first derivative; 0 but in a moving frame."""
        return torch.zeros(len(t), 1, dtype=t.dtype)

    def latent(self, t: Float[Tensor, " time"], y: Curve) -> Curve:
        """x at coordinates y and curve parameters t."""
        return self._factor(t, y) * y + _like(self.offset(t), y)

    def coordinates(self, t: Float[Tensor, " time"], x: Curve) -> Curve:
        """y of latents x, projected onto the manifold."""
        return self.manifold.project((x - _like(self.offset(t), x)) / self._factor(t, x))

    def velocity(self, t: Float[Tensor, " time"], y: Curve, rate: Curve) -> Curve:
        """dx/dt where y moves at a rate dy/dt."""
        slope = self.slope().to(y)[..., None]
        return slope * y + self._factor(t, y) * rate + _like(self.offset(t, 1), y)

    def _factor(self, t: Tensor, like: Tensor) -> Tensor:
        """The scale, ready to be multiplied with a tensor (time, *pairs, dim)."""
        column = t.reshape(-1, *[1] * (like.ndim - 2))
        return self.scale(column).to(like)[..., None]


@final
@dataclass(frozen=True)
class Ambient(Coordinates):
    """y = x, in flat space or on a manifold that all latents lie on."""

    space: Manifold = field(default_factory=Flat)

    @property
    def manifold(self) -> Manifold:
        return self.space

    def scale(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*scales"]:
        return torch.ones_like(t)

    def slope(self) -> Float[Tensor, "*pairs"]:
        return torch.zeros(())

    def select(self, index: Index) -> Coordinates:
        return self


@final
@dataclass(frozen=True, eq=False)
class Shell(Coordinates):
    """y on the sphere of radius R; the norm of x goes from ``start`` to ``end``."""

    start: Float[Tensor, "*pairs"]
    end: Float[Tensor, "*pairs"]
    radius: float

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Shell)
            and self.radius == other.radius
            and torch.equal(self.start, other.start)
            and torch.equal(self.end, other.end)
        )

    def __hash__(self) -> int:
        return hash((self.radius, tuple(self.start.shape)))

    @property
    def manifold(self) -> Manifold:
        return Sphere(self.radius)

    def scale(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*scales"]:
        start, end = self.start.to(t), self.end.to(t)
        return ((1 - t) * start + t * end) / self.radius

    def slope(self) -> Float[Tensor, "*pairs"]:
        return (self.end - self.start) / self.radius

    def select(self, index: Index) -> Coordinates:
        if not self.start.ndim:
            return self
        return Shell(_at(self.start, index), _at(self.end, index), self.radius)

    def piece(self, first: float, last: float) -> Shell:
        """The shell of a piece of t as one for [0, 1]; norms stay as they are beyond t = 1."""
        times = torch.tensor([first, last], dtype=torch.float64).clamp(max=1)
        ends = self.radius * self.scale(times)
        return Shell(ends[0], ends[1], self.radius)


@final
@dataclass(frozen=True, eq=False)
class MovingFrame(Coordinates):
    """Coordinates ``still`` that are carried along a path of latents: ``shift`` is w(t), 0 at both
    ends."""

    still: Coordinates
    shift: Spline

    @property
    def manifold(self) -> Manifold:
        return self.still.manifold

    def scale(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*scales"]:
        return self.still.scale(t)

    def slope(self) -> Float[Tensor, "*pairs"]:
        return self.still.slope()

    def offset(self, t: Float[Tensor, " time"], order: int = 0) -> Curve:
        return self.shift(t, order)

    def select(self, index: Index) -> Coordinates:
        nodes = self.shift.nodes
        shift = self.shift if nodes.ndim < 3 else Spline(_at(nodes, index, axis=1))
        return MovingFrame(self.still.select(index), shift)


@final
@dataclass(frozen=True, eq=False)
class CoordinateScore(Score):
    """The score of coordinates y, from that of x; see the module."""

    latent_score: Score
    coordinates: Coordinates

    def __call__(self, t: Times, x: Points) -> Points:
        factor = self.coordinates.scale(t)[..., None].to(x)
        offset = self.coordinates.offset(t.flatten()).to(x)
        if offset.ndim < 3:  # one offset for all pairs
            offset = offset.reshape(*t.shape, offset.shape[-1])
        elif t.numel() != len(t):
            raise ValueError(
                f"got curve parameters of shape {tuple(t.shape)} in a moving frame of several "
                "pairs; expected one parameter for all pairs"
            )
        return factor * self.latent_score(t, factor * x + offset)

    @property
    def precision(self) -> float | None:
        inner = self.latent_score.precision
        ends = self.coordinates.scale(torch.tensor([[0.0], [1.0]], dtype=torch.float64))
        return None if inner is None else float(ends.max()) ** 2 * inner

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        return CoordinateScore(self.latent_score.select(index), self.coordinates.select(index))


def shell(first: Float[Tensor, "*pairs dim"], last: Float[Tensor, "*pairs dim"]) -> Shell:
    """The shell between two latents, or between those of several pairs."""
    norms = [torch.linalg.vector_norm(x, dim=-1) for x in (first, last)]
    return Shell(norms[0], norms[1], first.shape[-1] ** 0.5)


def shell_of(x: Float[Tensor, " dim"]) -> Shell:
    """The shell of one norm through a latent."""
    return shell(x, x)


def _at(x: Tensor, index: Index, axis: int = 0) -> Tensor:
    if isinstance(index, int):
        return x.select(axis, index)
    return x.index_select(axis, index.to(x.device))


def _like(offset: Tensor, like: Tensor) -> Tensor:
    """Offsets (time, dim) or (time, *pairs, dim), ready to meet a tensor (time, *pairs, dim)."""
    offset = offset.to(like)
    if offset.ndim == like.ndim:
        return offset
    return offset.reshape(len(offset), *[1] * (like.ndim - 2), offset.shape[-1])
