"""Pairs extrapolated: on from the first image past the second one, or towards it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from diffusion_geodesics.batch.jobs.model_job import PairJob
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.models.settings import ModelSettings

if TYPE_CHECKING:
    from diffusion_geodesics.models.model import DiffusionModel


@final
@dataclass(frozen=True)
class ExtrapolateJob(PairJob):
    """`diffusion_geodesics.extrapolate` for each pair."""

    name: ClassVar[str] = "extrapolate"
    model: ModelSettings
    settings: ExtrapolationSettings
    towards: bool = False  # go towards the second image, instead of past it

    @property
    def header(self) -> Mapping[str, Any]:
        return {**super().header, "towards": self.towards}

    def result(self, model: DiffusionModel, pair: BatchPair) -> object:
        from diffusion_geodesics.extrapolation.directions import Past, Towards
        from diffusion_geodesics.extrapolation.extrapolate import extrapolate

        direction = Towards(pair.b) if self.towards else Past(pair.b)
        prompt = {} if pair.prompt_a is None else {"prompt": pair.prompt_a}
        return extrapolate(model, pair.a, direction, self.settings.updated(**prompt))
