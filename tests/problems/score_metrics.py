"""Geometries that the package does not have, as a user would write them: a metric and an energy
of a score with derivatives, with closed forms to test solvers, rays and energies against."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Score, evaluate
from diffusion_geodesics.manifold import Flat, Manifold
from diffusion_geodesics.metric import Connection, Energy, Field, LogDensityOf, Metric

Points = Float[Tensor, "*batch dim"]
Values = Float[Tensor, "*batch"]


def jacobian_product(score: Score, t: Tensor, x: Points, v: Points) -> tuple[Points, Points]:
    """The score at x and Jᵀ v by reverse mode, both detached."""
    with torch.enable_grad():
        point = x.detach().clone().requires_grad_()
        value = score(t, point)
        (product,) = torch.autograd.grad(value, point, v, allow_unused=True)
    return value.detach(), torch.zeros_like(x) if product is None else product


def _dot(u: Tensor, v: Tensor) -> Tensor:
    return (u * v).sum(-1)


@dataclass(frozen=True)
class Stein(Metric):
    """I + λ s sᵀ (Azeglio and Di Bernardo 2025): the metric of the graph of √λ log p."""

    score: Score
    strength: float = 1.0
    manifold: Manifold = field(default_factory=Flat)

    @property
    def evaluations(self) -> int:
        return 2

    def field(
        self, t: Tensor, x: Points, v: Points, log_density: LogDensityOf | None = None
    ) -> Field:
        raw, product = jacobian_product(self.score, t, x, v)
        score = self.manifold.to_tangent(x, raw)
        square, along = _dot(v, v), _dot(score, v)
        hessian = _dot(v, product) - self.manifold.curvature * square * _dot(raw, x)
        pull = self.strength * hessian / (1 + self.strength * _dot(score, score))
        inverse = 1 / square.clamp_min(1e-30)
        across = score - (along * inverse)[..., None] * v
        acceleration = self.manifold.acceleration(x, v) - pull[..., None] * across
        return Field(score, acceleration, torch.zeros_like(pull), -pull * inverse * along)

    def speed(self, v: Points, score: Points, log_density: Values) -> Values:
        return (_dot(v, v) + self.strength * _dot(score, v).square()).sqrt()

    def calibrated(self, t: Tensor, x: Tensor) -> tuple[Connection, int]:
        return self, 0

    def select(self, index: Int[Tensor, " paths"]) -> Connection:
        return replace(self, score=self.score.select(index))

    def inner(self, t: Tensor, x: Points, u: Points, v: Points) -> Values:
        score = self.manifold.to_tangent(x, evaluate(self.score, t, x))
        return _dot(u, v) + self.strength * _dot(score, u) * _dot(score, v)


@dataclass(frozen=True)
class ScoreJacobian(Energy):
    """JᵀJ (Saito and Matsubara 2025): flat space mapped by x -> s(x)."""

    score: Score

    @property
    def manifold(self) -> Manifold:
        return Flat()

    def segments(self, t: Tensor, nodes: Tensor) -> Tensor:
        score = self.score(t[:, None], nodes)
        return (score[1:] - score[:-1]).square().sum(-1)

    def evaluations(self, nodes: int, *, gradient: bool) -> int:
        return nodes * (2 if gradient else 1)
