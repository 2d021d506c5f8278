r"""The metric :math:`p^{-2\alpha} I` of a density at a noise level, on latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.diffusion import Condition, ConditionCurve, LevelScore, PathConditions
from diffusion_geodesics.latents.choices import curve_of, scores_of
from diffusion_geodesics.latents.coordinates import Coordinates
from diffusion_geodesics.latents.encode import ModelParts, Noised, NoiseLevel
from diffusion_geodesics.latents.settings import Metric, ScoreChoice
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.metric import Conformal, Weight
from diffusion_geodesics.points import Points, Times, Values

Pair = tuple[int, int]
"""Numbers of the first and the last image of a path."""


@final
@dataclass(frozen=True)
class Geometry:
    """The metric that paths of latents are measured in."""

    score: Score  # that lengths are made of
    level_score: Score  # of the noised density; the same unless score is of a ratio or distilled
    search_score: Score  # that a solver follows: score itself, but for a random estimate
    alpha: float
    level: NoiseLevel

    def connection(self, coordinates: Coordinates) -> Conformal:
        """The connection in some coordinates."""
        return Conformal(coordinates.score(self.score), self.alpha, coordinates.manifold)

    def search(self, coordinates: Coordinates, weight: Weight | None = None) -> Conformal:
        """The connection that a solver follows; with another weight of log p than a power if one
        is given."""
        strength = self.alpha if weight is None else weight
        return Conformal(coordinates.score(self.search_score), strength, coordinates.manifold)

    def flow(self, coordinates: Coordinates) -> Conformal:
        """The space's own geometry with the score of the noised density, for log densities."""
        return Conformal(coordinates.score(self.level_score), 0.0, coordinates.manifold)

    def with_alpha(self, alpha: float) -> Geometry:
        """The same with another α."""
        return replace(self, alpha=alpha)

    @property
    def repeatable(self) -> bool:
        """Whether the score that solvers follow is the same at each call."""
        return self.search_score is self.score

    def piece(self, start: float, end: float) -> Geometry:
        """The same for a solver whose curve parameter in [0, 1] stands for one from ``start`` to
        ``end``."""
        if (start, end) == (0.0, 1.0):
            return self
        return replace(self, search_score=_Piece(self.search_score, start, end))

    def scores(self, x: Points) -> Points:
        """∇log p of the noised density at latents. Cost: one evaluation a point, one batch."""
        return self.level_score(x.new_zeros(x.shape[:-1]), x)

    def noise_energy(self, scores: Points) -> Values:
        """σ‖s‖/√d of known scores: about 1 where a latent carries the noise of its level."""
        norm = torch.linalg.vector_norm(scores, dim=-1)
        return self.level.sigma * norm / scores.shape[-1] ** 0.5

    def geodesic_acceleration(
        self, x: Points, velocity: Points, scores: Points, manifold: Manifold
    ) -> Points:
        """The acceleration of the geodesics through latents, tangent part, from known scores."""
        connection = Conformal(_Known(scores), self.alpha, manifold)
        acceleration = connection.acceleration(x.new_zeros(x.shape[:-1]), x, velocity)
        return manifold.to_tangent(x, acceleration)


@dataclass(frozen=True)
class _Piece(Score):
    """A score on a piece of a curve."""

    whole: Score
    start: float
    end: float

    def __call__(self, t: Times, x: Points) -> Points:
        return self.whole(self.start + (self.end - self.start) * t, x)

    @property
    def precision(self) -> float | None:
        return self.whole.precision

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        return replace(self, whole=self.whole.select(index))


@dataclass(frozen=True)
class _Known(Score):
    """Scores that were evaluated before: only for the points they belong to."""

    values: Points

    def __call__(self, t: Times, x: Points) -> Points:
        return self.values


def path_geometry(noised: Noised, metric: Metric, seed: int, pairs: Sequence[Pair]) -> Geometry:
    """The metric between pairs of the images, for paths with one axis of pairs. The condition
    changes along each path from that of its first image to that of its last."""
    conditions, blend = noised.encoded.conditions, noised.encoded.prompts.blend
    known: dict[tuple[int, int], ConditionCurve] = {}
    for i, j in pairs:
        key = id(conditions[i]), id(conditions[j])
        known.setdefault(key, curve_of(blend, conditions[i], conditions[j]))
    curves = [known[id(conditions[i]), id(conditions[j])] for i, j in pairs]
    alpha = metric.alpha_for(noised.encoded.dim)
    return geometry_along(noised, metric, alpha, PathConditions.of(curves), seed)


def shared_geometry(noised: Noised, metric: Metric, seed: int) -> Geometry:
    """The metric under the first image's prompt, which all images are taken to share."""
    alpha = metric.alpha_for(noised.encoded.dim)
    return geometry_along(noised, metric, alpha, noised.encoded.conditions[0], seed)


def level_geometry(
    parts: ModelParts, condition: Condition, level: NoiseLevel, alpha: float
) -> Geometry:
    """The metric of the density at a noise level, under one condition."""
    score = LevelScore(parts.denoiser, level.timestep, condition)
    return Geometry(score, score, score, alpha, level)


def geometry_along(
    noised: Noised, choice: ScoreChoice, alpha: float, curve: ConditionCurve, seed: int = 0
) -> Geometry:
    """The metric of a score of one's choice, under a condition that may change along paths."""
    encoded = noised.encoded
    level, fixed, search = scores_of(
        encoded.denoiser,
        curve,
        choice,
        noised.inversion,
        negative=encoded.negative,
        null=encoded.null,
        seed=seed,
    )
    return Geometry(fixed, level, search, alpha, noised.level)


def log_density(
    points: Float[Tensor, "n *batch dim"], scores: Float[Tensor, "n *batch dim"]
) -> Float[Tensor, "n *batch"]:
    """log p along polygons relative to their start, in nats: ∫ s·dx by the trapezoidal rule.

    Exact where log p is quadratic between neighbouring points. Costs nothing.
    """
    steps = (0.5 * (scores[1:] + scores[:-1]) * points.diff(dim=0)).sum(-1)
    return torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])
