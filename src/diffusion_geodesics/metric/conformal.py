r"""Conformal metrics: lengths weighted by a function of log p.

The paper measures a curve by :math:`L = \int p(\gamma)^{-\alpha} |\gamma'|\,dt`: the metric
:math:`g_x(u, v) = p(x)^{-2\alpha}\, u \cdot v`. In general
:math:`g_x = e^{-2 f(l)} I` with l the log density relative to a reference and f a :class:`Weight`;
the paper's is :math:`f(l) = \alpha l`. A geodesic at constant Euclidean speed obeys

.. math:: \gamma'' = -f'(l)\,|\gamma'|^2 P_\perp s(\gamma), \qquad
          P_\perp = I - \hat v \hat v^{\mathsf T},

which needs the score s, and l where f' depends on it. On a sphere the score is replaced by its
tangent part and the centripetal term :math:`-|\gamma'|^2 x / R^2` is added.

References:
    Yu et al., CVPR 2025, equations 4 to 8.
    do Carmo, Riemannian Geometry, 1992, chapter 8 (conformal change of a metric).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Density, Score, as_score, evaluate
from diffusion_geodesics.manifold import Flat, Manifold, as_manifold
from diffusion_geodesics.metric.connection import Connection, Field, LogDensityOf, Metric
from diffusion_geodesics.metric.weight import Weight, as_weight
from diffusion_geodesics.shapes import Points, Times, Values


def _dot(u: Tensor, v: Tensor) -> Tensor:
    return (u * v).sum(-1)


@dataclass(frozen=True, init=False)
class Conformal(Connection):
    r"""The connection of :math:`g_x = p(x)^{-2\alpha} I`, from the score alone.

    With another weight f of log p it is the connection of :math:`g_x = e^{-2 f(l)} I`.

    Args:
        score: s = ∇log p, a :class:`Score` or a plain function x -> s(x).
        alpha: strength α ≥ 0 (1 is the paper's metric, 0 the manifold's own geometry, and α·d of
            order one comparable between dimensions d), or any :class:`Weight`. One other than
            :class:`Power` needs the log density l: on a path relative to the mean of those at both
            ends; at single points the ``log_density`` passed to :meth:`field`, or the score's own
            ``log_prob`` if it is a :class:`Density`.
        manifold: the space of the curves.
        precision: bound on the curvature -∇s across the curve (1/σ² for a density smoothed by
            noise σ). By default the score's own; solvers estimate it once if it is unknown.
        reference: log density in nats from which l counts where l is the density's ``log_prob``.

    Raises:
        TypeError, ValueError: an argument is something else, negative, or not finite.
    """

    score: Score
    alpha: float | Weight
    manifold: Manifold
    precision: float | None
    reference: float

    def __init__(
        self,
        score: Score | Callable[[Tensor], Tensor],
        alpha: float | Weight = 1.0,
        manifold: Manifold | None = None,
        precision: float | None = None,
        reference: float = 0.0,
    ):
        as_weight(alpha)
        if not math.isfinite(reference):
            raise ValueError(f"reference is {reference}; expected a finite number of nats")
        values = (as_score(score), alpha, as_manifold(manifold), precision, reference)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def weight(self) -> Weight:
        """f: ``alpha`` as a weight."""
        return as_weight(self.alpha)

    @property
    def scale_free(self) -> bool:
        return self.weight.constant_slope is not None

    def field(
        self, t: Times, x: Points, v: Points, log_density: LogDensityOf | None = None
    ) -> Field:
        raw = evaluate(self.score, t, x)
        score = self.manifold.to_tangent(x, raw)
        square = _dot(v, v)
        along = _dot(score, v)
        across = score - (along / square.clamp_min(1e-30))[..., None] * v
        slope = self._slope(t, x, score, log_density)
        pull = slope * square
        acceleration = self.manifold.acceleration(x, v) - pull[..., None] * across
        stiffness = (self.precision or 0.0) + self.manifold.curvature * _dot(raw, x)
        return Field(score, acceleration, pull * stiffness, -slope * along)

    def _slope(self, t: Tensor, x: Tensor, score: Tensor, known: LogDensityOf | None) -> Tensor:
        """f'(l) at points."""
        weight = self.weight
        if weight.constant_slope is not None:
            return x.new_full(x.shape[:-1], weight.constant_slope)
        if known is not None:
            return weight.slope(known(score))
        if isinstance(self.score, Density):
            return weight.slope(self.score.log_prob(t, x) - self.reference)
        raise ValueError(
            f"the weight {weight} depends on log p, and {type(self.score).__name__} gives the "
            "score only; pass log_density=..., use a Density, or Power(alpha), which needs neither"
        )

    def speed(self, v: Points, score: Points, log_density: Values) -> Values:
        return torch.exp(-self.weight.value(log_density)) * torch.linalg.vector_norm(v, dim=-1)

    def calibrated(
        self, t: Float[Tensor, " time"], x: Float[Tensor, "time *batch dim"]
    ) -> tuple[Connection, int]:
        r"""The connection with its ``precision`` known. An unknown one is estimated, at 2 score
        evaluations per interior point x, as the 90th percentile over them of
        :math:`-z \cdot (s(x + z) - s(x)) / |z|^2` with a small random displacement z (fixed seed)
        across the curve."""
        known = self.score.precision if self.precision is None else self.precision
        if known is not None:
            return replace(self, precision=known), 0
        times = t[1:-1].reshape(-1, *[1] * (x.ndim - 2)).to(x)
        inner, chord = x[1:-1], x[2:] - x[:-2]
        noise = torch.randn(inner.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
        z = self.manifold.to_tangent(inner, noise.to(x.device))
        z = z - (_dot(z, chord) / _dot(chord, chord).clamp_min(1e-30))[..., None] * chord
        reach = 1e-3 * torch.linalg.vector_norm(x[-1] - x[0], dim=-1, keepdim=True)
        z = z * reach / torch.linalg.vector_norm(z, dim=-1, keepdim=True).clamp_min(1e-30)
        both = evaluate(self.score, torch.cat([times, times]), torch.cat([inner + z, inner]))
        change = both[: len(inner)] - both[len(inner) :]
        curvature = -_dot(z, change) / _dot(z, z).clamp_min(1e-30)
        finite = curvature[torch.isfinite(curvature)]
        value = float(finite.quantile(0.9).clamp_min(0)) if finite.numel() else 0.0
        return replace(self, precision=value), 2 * curvature.numel()

    def select(self, index: Int[Tensor, " paths"]) -> Connection:
        return replace(self, score=self.score.select(index))


@dataclass(frozen=True)
class ConformalMetric(Metric):
    r"""The metric :math:`g_x(u, v) = p(x)^{-2\alpha}\, u \cdot v` of a density.

    With another weight f of log p it is :math:`e^{-2 f(l)}\, u \cdot v`.

    Args:
        density: p, with its log density.
        alpha: strength α ≥ 0 (1 is the paper's metric), or any :class:`Weight`.
        manifold: the space of the curves.
        reference: log density in nats from which l counts at single points. On a path the solvers
            count from the mean of both ends; with that value here the two agree.

    Raises:
        ValueError: ``alpha`` is negative or not finite, or ``reference`` is not finite.
    """

    density: Density
    alpha: float | Weight = 1.0
    manifold: Manifold = field(default_factory=Flat)
    reference: float = 0.0

    def __post_init__(self) -> None:
        _ = self.connection  # checks the arguments

    @property
    def score(self) -> Score:  # type: ignore[override]
        return self.density

    @property
    def connection(self) -> Conformal:
        """The same geometry from the score alone."""
        return Conformal(self.density, self.alpha, self.manifold, reference=self.reference)

    @property
    def scale_free(self) -> bool:
        return self.connection.scale_free

    def field(
        self, t: Times, x: Points, v: Points, log_density: LogDensityOf | None = None
    ) -> Field:
        return self.connection.field(t, x, v, log_density)

    def speed(self, v: Points, score: Points, log_density: Values) -> Values:
        return self.connection.speed(v, score, log_density)

    def calibrated(
        self, t: Float[Tensor, " time"], x: Float[Tensor, "time *batch dim"]
    ) -> tuple[Connection, int]:
        return self.connection.calibrated(t, x)

    def select(self, index: Int[Tensor, " paths"]) -> Connection:
        return self.connection.select(index)

    def inner(self, t: Times, x: Points, u: Points, v: Points) -> Values:
        log_density = self.density.log_prob(t, x) - self.reference
        return torch.exp(-2 * as_weight(self.alpha).value(log_density)) * _dot(u, v)
