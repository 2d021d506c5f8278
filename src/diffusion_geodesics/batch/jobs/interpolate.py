"""Pairs interpolated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from diffusion_geodesics.batch.jobs.model_job import PairJob, with_prompts
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models.settings import ModelSettings

if TYPE_CHECKING:
    from diffusion_geodesics.models.model import DiffusionModel

TOGETHER = 4
"""Pairs in one network batch, see docs/batch.md for what that gains; more are joined in batches of
four all the same."""


@final
@dataclass(frozen=True)
class InterpolateJob(PairJob):
    """`diffusion_geodesics.interpolate` for each pair."""

    name: ClassVar[str] = "interpolate"
    model: ModelSettings
    settings: InterpolationSettings

    def result(self, model: DiffusionModel, pair: BatchPair) -> object:
        from diffusion_geodesics.interpolation.interpolate import interpolate

        return interpolate(model, (pair.a, pair.b), self._settings(pair))

    def results(self, model: DiffusionModel, pairs: Sequence[BatchPair]) -> Sequence[object]:
        from diffusion_geodesics.interpolation.many import Film, interpolate_many

        if len(pairs) == 1:
            return super().results(model, pairs)
        return interpolate_many(model, [Film((p.a, p.b), self._settings(p)) for p in pairs])

    def together(self, model: DiffusionModel) -> int:
        return TOGETHER

    def _settings(self, pair: BatchPair) -> InterpolationSettings:
        return self.settings.updated(**with_prompts(self.settings, pair))
