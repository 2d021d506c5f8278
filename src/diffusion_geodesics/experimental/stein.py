r"""The Stein-score metric: a metric made of a score alone.

.. math:: g_x(u, v) = u \cdot v + \lambda\,(s \cdot u)(s \cdot v), \qquad s = \nabla \log p.

Status: experimental. It is exact about what it measures, but on a pretrained latent flow of digits
(36 dimensions) and a prototype of the embedded portrait model (1024 dimensions), judged against
slerp, its paths gave no better images or worse ones (docs/metrics.md).

It is the metric of the graph of :math:`\sqrt\lambda \log p`: the squared length of a step is its
squared Euclidean length plus λ times its squared change of log p. Along level sets of p lengths are
those of flat space. With :math:`J = \nabla s` symmetric,

.. math:: \gamma'' = -\lambda\, \frac{\gamma' \cdot J \gamma'}{1 + \lambda |s|^2}\, P_\perp s

at constant Euclidean speed. On a sphere s is its tangent part, the Hessian
:math:`\gamma' \cdot J \gamma'` becomes
:math:`\gamma' \cdot J \gamma' - |\gamma'|^2 (s \cdot x) / R^2`, and the centripetal term is added.

References:
    Azeglio, Di Bernardo, What's Inside Your Diffusion Model? A Score-Based Riemannian Metric to
    Explore the Data Manifold, 2025.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Score, evaluate
from diffusion_geodesics.manifold import Flat, Manifold
from diffusion_geodesics.metric import Connection, Field, LogDensityOf, Metric
from diffusion_geodesics.metric.differentiable import gradient_evaluations, jacobian_product


def _dot(u: Tensor, v: Tensor) -> Tensor:
    return (u * v).sum(-1)


@dataclass(frozen=True)
class Stein(Metric):
    r"""The metric :math:`I + \lambda\, s s^{\mathsf T}`.

    Args:
        score: s = ∇log p. Geodesics need its derivative: by autograd, or by finite differences if
            it is wrapped in :class:`FiniteDifferenceScore`. Inner products need the score only.
        strength: λ ≥ 0, in squared units of x; 0 is the manifold's own geometry. |s| is about
            √d/σ at noise level σ, so λ = σ²/d doubles the squared length along the score.
        manifold: the space of the curves.

    Raises:
        ValueError: ``strength`` is negative or not finite.
    """

    score: Score
    strength: float = 1.0
    manifold: Manifold = field(default_factory=Flat)

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf:
            raise ValueError(f"strength is {self.strength}; expected a finite number ≥ 0")

    @property
    def evaluations(self) -> int:
        return gradient_evaluations(self.score)

    def field(
        self,
        t: Float[Tensor, "*#batch"],
        x: Float[Tensor, "*batch dim"],
        v: Float[Tensor, "*batch dim"],
        log_density: LogDensityOf | None = None,
    ) -> Field:
        """Score, acceleration and linearisation; see :meth:`Connection.field`.

        ``shift`` is 0.

        Raises:
            ValueError: autograd cannot differentiate the score.
        """
        raw, product = jacobian_product(self.score, t, x, v)
        score = self.manifold.to_tangent(x, raw)
        square, along = _dot(v, v), _dot(score, v)
        hessian = _dot(v, product) - self.manifold.curvature * square * _dot(raw, x)
        pull = self.strength * hessian / (1 + self.strength * _dot(score, score))
        inverse = 1 / square.clamp_min(1e-30)
        across = score - (along * inverse)[..., None] * v
        acceleration = self.manifold.acceleration(x, v) - pull[..., None] * across
        return Field(score, acceleration, torch.zeros_like(pull), -pull * inverse * along)

    def speed(
        self,
        v: Float[Tensor, "*batch dim"],
        score: Float[Tensor, "*batch dim"],
        log_density: Float[Tensor, "*batch"],
    ) -> Float[Tensor, "*batch"]:
        return (_dot(v, v) + self.strength * _dot(score, v).square()).sqrt()

    def calibrated(
        self, t: Float[Tensor, " time"], x: Float[Tensor, "time *batch dim"]
    ) -> tuple[Connection, int]:
        """This connection: there is nothing to estimate."""
        return self, 0

    def select(self, index: Int[Tensor, " paths"]) -> Connection:
        return replace(self, score=self.score.select(index))

    def inner(
        self,
        t: Float[Tensor, "*#batch"],
        x: Float[Tensor, "*batch dim"],
        u: Float[Tensor, "*batch dim"],
        v: Float[Tensor, "*batch dim"],
    ) -> Float[Tensor, "*batch"]:
        score = self.manifold.to_tangent(x, evaluate(self.score, t, x))
        return _dot(u, v) + self.strength * _dot(score, u) * _dot(score, v)
