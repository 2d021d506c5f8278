r"""Where the geometry of two latents takes place: in flat space, or on a shell.

Noise of dimension d has norm about √d, and the two latents of a pair have norms of their own. On
the *shell* a latent is :math:`x = (r(t)/R)\, y` with y on the sphere of radius R and
:math:`r(t) = (1-t)\, r_0 + t\, r_1`, so that both ends are exact and nothing in between loses
norm. The score of y is :math:`(r/R)\, s(x)`. It depends on t where the norms differ, and with it
the metric, slightly.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.path import Path


class Chart(ABC):
    """Coordinates y for the latents x between two ends."""

    @property
    @abstractmethod
    def manifold(self) -> Manifold:
        """Where y lives."""

    @abstractmethod
    def scale(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The factor x/y at curve parameters t."""

    @abstractmethod
    def slope(self) -> float:
        """Its derivative, which does not depend on t."""

    def score(self, score: Score) -> Score:
        """The score of y, from that of x. Costs what the score of x costs."""
        return ChartScore(score, self)

    def offset(self, t: Float[Tensor, " time"], order: int = 0) -> Float[Tensor, "time #dim"]:
        """w(t), what is added to the scaled coordinates, or its first derivative; 0 here."""
        return torch.zeros(len(t), 1, dtype=t.dtype)

    def latent(
        self, t: Float[Tensor, " time"], y: Float[Tensor, "time *batch dim"]
    ) -> Float[Tensor, "time *batch dim"]:
        """x at coordinates y and curve parameters t."""
        return _column(self.scale(t), y) * y + _column(self.offset(t), y)

    def coordinates(
        self, t: Float[Tensor, " time"], x: Float[Tensor, "time *batch dim"]
    ) -> Float[Tensor, "time *batch dim"]:
        """y of latents x, projected onto the manifold."""
        return self.manifold.project((x - _column(self.offset(t), x)) / _column(self.scale(t), x))

    def velocity(
        self,
        t: Float[Tensor, " time"],
        y: Float[Tensor, "time dim"],
        rate: Float[Tensor, "time dim"],
    ) -> Float[Tensor, "time dim"]:
        """dx/dt where y moves at a rate dy/dt."""
        return self.slope() * y + _column(self.scale(t), y) * rate + _column(self.offset(t, 1), y)


@dataclass(frozen=True)
class FlatChart(Chart):
    """y = x."""

    @property
    def manifold(self) -> Manifold:
        return Flat()

    def scale(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return torch.ones_like(t)

    def slope(self) -> float:
        return 0.0


@dataclass(frozen=True)
class ShellChart(Chart):
    """y on the sphere of radius √dim; the norm of x goes from ``start`` to ``end``.

    Args:
        start, end: norms r0 and r1 of both ends.
        radius: R.
    """

    start: float
    end: float
    radius: float

    @property
    def manifold(self) -> Manifold:
        return Sphere(self.radius)

    def scale(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return ((1 - t) * self.start + t * self.end) / self.radius

    def slope(self) -> float:
        return (self.end - self.start) / self.radius


@dataclass(frozen=True, eq=False)
class CarriedChart(Chart):
    """The chart of a moving frame.

    Args:
        still: the chart that y is of.
        carriage: w(t), 0 at both ends, shape (time, dim).
    """

    still: Chart
    carriage: Path

    @property
    def manifold(self) -> Manifold:
        return self.still.manifold

    def scale(self, t: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.still.scale(t)

    def slope(self) -> float:
        return self.still.slope()

    def offset(self, t: Float[Tensor, " time"], order: int = 0) -> Float[Tensor, "time dim"]:
        return self.carriage(t, order)


@dataclass(frozen=True)
class ChartScore(Score):
    """The score of chart coordinates; see the module."""

    latent_score: Score
    chart: Chart

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        factor = self.chart.scale(t)[..., None]
        offset = self.chart.offset(t.flatten()).to(x)
        latent = factor * x + offset.reshape(*t.shape, offset.shape[-1])
        return factor * self.latent_score(t, latent)

    @property
    def precision(self) -> float | None:
        inner = self.latent_score.precision
        ends = self.chart.scale(torch.tensor([0.0, 1.0]))
        return None if inner is None else float(ends.max()) ** 2 * inner

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        return ChartScore(self.latent_score.select(index), self.chart)


def shell(x0: Float[Tensor, " dim"], x1: Float[Tensor, " dim"]) -> ShellChart:
    """The shell between two latents."""
    return ShellChart(float(x0.norm()), float(x1.norm()), len(x0) ** 0.5)


def _column(values: Tensor, like: Tensor) -> Tensor:
    """Values of shape (time,) or (time, dim), ready to meet a tensor (time, ..., dim)."""
    last = values.shape[1:] if values.ndim > 1 else (1,)
    return values.to(like).reshape(len(values), *[1] * (like.ndim - 2), *last)
