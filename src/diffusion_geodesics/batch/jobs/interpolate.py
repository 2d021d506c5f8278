"""Pairs interpolated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from diffusion_geodesics.batch.jobs.model_job import PairJob, with_prompts
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models.settings import ModelSettings

if TYPE_CHECKING:
    from diffusion_geodesics.models.model import DiffusionModel


@final
@dataclass(frozen=True)
class InterpolateJob(PairJob):
    """`diffusion_geodesics.interpolate` for each pair."""

    name: ClassVar[str] = "interpolate"
    model: ModelSettings
    settings: InterpolationSettings

    def result(self, model: DiffusionModel, pair: BatchPair) -> object:
        from diffusion_geodesics.interpolation.interpolate import interpolate

        settings = self.settings.updated(**with_prompts(self.settings, pair))
        return interpolate(model, (pair.a, pair.b), settings)
