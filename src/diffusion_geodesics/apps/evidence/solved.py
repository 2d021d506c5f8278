"""Methods that solve for their path: geodesics, the string method, the paper's algorithm."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, final

import torch

from diffusion_geodesics.apps.carriage import Carriage, carriage
from diffusion_geodesics.apps.chart import Chart, shell
from diffusion_geodesics.apps.evidence.method import Method, along
from diffusion_geodesics.apps.evidence.reel import Reel, Rendered
from diffusion_geodesics.apps.evidence.stage import Stage
from diffusion_geodesics.apps.interpolate import solver_of
from diffusion_geodesics.apps.settings import Estimate, Settings
from diffusion_geodesics.apps.survey import Candidate
from diffusion_geodesics.bvp import BVPSolver, Result, StringMethod, solve_bvp
from diffusion_geodesics.diffusion import Cost
from diffusion_geodesics.geodesic import initial_paths
from diffusion_geodesics.metric import Conformal, Weight
from diffusion_geodesics.path import chord


@final
@dataclass(frozen=True)
class Geodesic(Method):
    """Our geodesic at the noise level.

    Args:
        strength: α · dim of the metric.
        estimate: whose density; the ratio needs a prompt.
        flat: in flat space instead of on the shell.
        weight: of log p in the metric, in place of the power α.
        guidance: weight in the middle while denoising; other than 1 needs a prompt.
        label: what to call it; by default from the rest.
    """

    strength: float = 1.0
    estimate: Estimate = Estimate.LEVEL
    flat: bool = False
    weight: Weight | None = None
    guidance: float = 1.0
    label: str = ""

    @property
    def name(self) -> str:
        if self.label:
            return self.label
        parts = ["geodesic", f"{self.strength:g}" if self.weight is None else str(self.weight)]
        parts += [self.estimate.value] if self.estimate is not Estimate.LEVEL else []
        parts += ["flat"] if self.flat else []
        parts += [f"+ bump {self.guidance:g}"] if self.guidance != 1 else []
        return " ".join(parts)

    @property
    def prompted(self) -> bool:
        return self.guidance != 1 or self.estimate.contrasts

    def reel(self, stage: Stage, pair: str) -> Reel:
        own = stage.with_path(
            strength=self.strength, alpha=None, estimate=self.estimate, flat=self.flat
        )
        return solved(own, self.name, solver_of(own.settings), self.weight, self.guidance)


@final
@dataclass(frozen=True)
class Carried(Method):
    """The path that follows correspondences between the images, or a geodesic about it.

    Where a network has no features to match by, the great circle takes its place.

    Args:
        strength: α · dim of the geodesic in the moving frame; 0 is the carried path itself.
        guidance: weight in the middle while denoising; other than 1 needs a prompt.
    """

    strength: float = 0.0
    guidance: float = 1.0

    @property
    def name(self) -> str:
        parts = ["carried"] + ([f"geodesic {self.strength:g}"] if self.strength else [])
        parts += [f"+ bump {self.guidance:g}"] if self.guidance != 1 else []
        return " ".join(parts)

    @property
    def prompted(self) -> bool:
        return self.guidance != 1

    def reel(self, stage: Stage, pair: str) -> Reel:
        still = shell(*stage.ends)
        found, cost = _carriage(stage)
        note = "" if found else "no features to match by: not carried"
        chart = found.chart if found else still
        if self.strength:
            own = stage.with_path(strength=self.strength, alpha=None)
            solver = solver_of(own.settings)
            reel = solved(own, self.name, solver, guidance=self.guidance, chart=chart)
        else:
            ends = chart.coordinates(torch.tensor([0.0, 1.0]), stage.ends)
            candidate = Candidate(self.name, chord(ends[0], ends[1], chart.manifold), chart)
            reel = Rendered(
                lambda t: stage.develop(candidate.latent(t), t, self.guidance), candidate
            )
        notes = ", ".join(filter(None, (note, reel.note)))
        return replace(reel, cost=reel.cost + cost, note=notes)


@final
@dataclass(frozen=True)
class MaximalDensity(Method):
    """The path of maximal density, by the string method; no geodesic of any metric."""

    flat: bool = False

    @property
    def name(self) -> str:
        return "string method" + (" flat" if self.flat else "")

    def reel(self, stage: Stage, pair: str) -> Reel:
        own = stage.with_path(flat=self.flat, strength=max(stage.settings.strength, 1.0))
        return solved(own, self.name, StringMethod((16,)))


@final
@dataclass(frozen=True)
class PublishedMethod(Method):
    """The paper's algorithm at its published settings (`Settings.published`).

    They include the noise level, 0.6 of 50 DDIM steps, so it has an inversion of its own unless
    ``same_level``: then solver, estimate and strength are theirs and the level is the stage's.
    Their text inversion is left out.

    Args:
        same_level: start from the inversion that all other methods start from.
    """

    same_level: bool = False

    @property
    def name(self) -> str:
        return "published" + (" at the same level" if self.same_level else "")

    def reel(self, stage: Stage, pair: str) -> Reel:
        mine, theirs = stage.settings, Settings.published()
        path = {
            name: getattr(theirs, name)
            for name in ("alpha", "negative", "estimate", "window", "solver", "blend")
        }
        if self.same_level:
            return solved(stage.with_path(**path), self.name, solver_of(theirs))
        own = stage.moved(
            **path,
            level=theirs.level,
            steps=theirs.steps,
            refinements=theirs.refinements,
            sampler=theirs.sampler,
            seed=mine.seed,
        )
        extra = Cost(own.cost.rows - stage.cost.rows, own.cost.calls - stage.cost.calls)
        found = solved(own, self.name, solver_of(theirs))
        # Another level has another density: what is measured along the path would not compare.
        return replace(found, candidate=None, cost=found.cost + extra)


@lru_cache(maxsize=1)
def _carriage(stage: Stage) -> tuple[Carriage | None, Cost]:
    """Over the shell; the same for every method of a stage, so it is found once."""
    started = time.perf_counter()
    found, cost = carriage(stage.job, stage.clean, stage.ends, shell(*stage.ends))
    return found, replace(cost, seconds=time.perf_counter() - started)


def solved(
    stage: Stage,
    name: str,
    solver: BVPSolver[Any],
    weight: Weight | None = None,
    guidance: float = 1.0,
    chart: Chart | None = None,
) -> Rendered:
    """The reel of a boundary value solution under the stage's settings, in another chart if one
    is given."""
    started, settings = time.perf_counter(), stage.settings
    geometry = stage.geometry()
    geometry = geometry if chart is None else replace(geometry, chart=chart)
    chart = geometry.chart
    corners = chart.coordinates(torch.tensor([0.0, 1.0]), stage.ends)
    connection = geometry.search
    if weight is not None:
        connection = Conformal(chart.score(geometry.search_score), weight, chart.manifold)
    solution = solve_bvp(
        connection,
        solver,
        initial_paths(corners[0], corners[1], chart.manifold, settings.starts, settings.seed),
        tol=settings.tol,
        max_steps=settings.max_steps,
        throw=False,
    )
    score = geometry.search_score
    cost = Cost(
        solution.score_evals * score.rows_per_point,
        solution.calls * score.calls_per_batch,
        time.perf_counter() - started,
    )
    candidate = Candidate(name, solution.path, chart)
    note = "" if solution.result is Result.converged else solution.result.name.replace("_", " ")
    reel = along(stage, solution.path, candidate, guidance=guidance, cost=cost, note=note)
    return replace(reel, render=lambda t: stage.develop(candidate.latent(t), t, guidance))
