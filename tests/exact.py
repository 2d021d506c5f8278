"""Scores and densities made for tests: moving, counting, different for every path, failing."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Density, Score


def vector(*x: float) -> Tensor:
    """A point in double precision."""
    return torch.tensor(x, dtype=torch.float64)


@dataclass(frozen=True)
class MovingGaussian(Density):
    """A normal distribution whose mean moves from ``start`` to ``end`` as t goes from 0 to 1."""

    start: Tensor
    end: Tensor

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        u = t[..., None]
        return (1 - u) * self.start.to(x) + u * self.end.to(x) - x

    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        return -0.5 * self(t, x).square().sum(-1)

    @property
    def precision(self) -> float:
        return 1.0


@dataclass(frozen=True)
class GaussianEach(Density):
    """Another normal distribution for every path of a batch, as if each had its own prompt."""

    means: Float[Tensor, "paths dim"]

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return self.means.to(x) - x

    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        return -0.5 * self(t, x).square().sum(-1)

    @property
    def precision(self) -> float:
        return 1.0

    def select(self, index: Int[Tensor, " paths"]) -> GaussianEach:
        return GaussianEach(self.means[index])


@dataclass
class Counting(Score):
    """Counts what another score is asked for."""

    score: Score
    batches: int = 0
    nfe: int = 0
    sizes: list[int] = field(default_factory=list)

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        self.batches += 1
        self.sizes.append(x[..., 0].numel())
        self.nfe += self.sizes[-1]
        return self.score(t, x)

    @property
    def precision(self) -> float | None:
        return self.score.precision


@dataclass(frozen=True)
class Wall(Score):
    """A normal distribution whose score is not finite beyond x_1 = ``at``."""

    at: float

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return torch.where(x[..., :1] > self.at, torch.nan, -x)
