"""Measuring a path of latents: in the metric of a geodesic, and by the density of the model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.chart import Chart
from diffusion_geodesics.apps.track import Track, track
from diffusion_geodesics.diffusion import DistilledScore, LevelScore, RatioScore
from diffusion_geodesics.length import Profile, measure
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Path, Spline

INTERVALS = 32

ModelScore: TypeAlias = LevelScore | RatioScore | DistilledScore
"""A score that says how many network rows and calls it takes."""


@dataclass(frozen=True)
class Candidate:
    """A path of latents in the coordinates that suit it.

    Args:
        name: of the path.
        path: y(t), shape (time, dim).
        chart: what turns y into latents.
    """

    name: str
    path: Path
    chart: Chart

    def latent(self, t: Float[Tensor, " time"]) -> Float[Tensor, "time dim"]:
        """The latents x(t)."""
        return self.chart.latent(t, self.path(t))


@dataclass(frozen=True)
class Geometry:
    """The metric that all paths of one pair are measured in.

    Args:
        chart: its coordinates.
        score: the score of latents that it is made of.
        level_score: the score of the noised density; the same object unless ``score`` is of a
            ratio or distilled.
        search_score: what the solver follows; ``score`` itself, but for a random estimate.
        alpha: its strength.
        level: (a, σ) of the noise level.
    """

    chart: Chart
    score: ModelScore
    level_score: LevelScore
    search_score: ModelScore
    alpha: float
    level: tuple[float, float]

    @property
    def connection(self) -> Conformal:
        """The connection in the chart's coordinates."""
        return Conformal(self.chart.score(self.score), self.alpha, self.chart.manifold)

    @property
    def search(self) -> Conformal:
        """The connection that the solver follows."""
        return Conformal(self.chart.score(self.search_score), self.alpha, self.chart.manifold)


@dataclass(frozen=True)
class Survey:
    """What is known about a path.

    Args:
        candidate: the path.
        profile: measured in the metric; a path outside the chart is projected onto it first.
        track: density, norm and noise energy of the path itself.
        rows, calls: cost in network rows and calls.
    """

    candidate: Candidate
    profile: Profile
    track: Track
    rows: int
    calls: int


def survey(geometry: Geometry, candidate: Candidate, known: Profile | None = None) -> Survey:
    """Measure a path.

    Args:
        geometry: the metric.
        candidate: the path.
        known: its profile in its own chart, if it was measured before.

    Cost: 33 points in one call in the metric, unless known there; and 33 more for the density
    where that is not known, since the metric is that of a ratio or the path lies outside its chart.
    """
    rows = calls = 0
    own_chart = candidate.chart == geometry.chart
    plain = geometry.score is geometry.level_score
    density = known if plain else None
    if known is None or not own_chart:
        path = candidate.path
        if not own_chart:
            t = torch.linspace(0, 1, INTERVALS + 1, dtype=torch.float64)
            nodes = geometry.chart.coordinates(t, candidate.latent(t))
            path = Spline(nodes, geometry.chart.manifold)
        known = measure(geometry.connection, path, intervals=INTERVALS)
        score = geometry.score
        rows, calls = known.score_evals * score.rows_per_point, score.calls_per_batch
        if own_chart and plain:
            density = known
    if density is None:
        chart = candidate.chart
        flow = Conformal(chart.score(geometry.level_score), 0.0, chart.manifold)
        density = measure(flow, candidate.path, intervals=INTERVALS)
        rows, calls = rows + density.score_evals, calls + 1
    found = track(candidate.name, candidate.chart, candidate.path, density, geometry.level)
    return Survey(candidate, known, replace(found, length=float(known.length)), rows, calls)
