"""Pairs interpolated, extrapolated, or on which methods are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from diffusion_geodesics.batch.jobs.model_job import PairJob
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models.settings import ModelSettings

if TYPE_CHECKING:
    from diffusion_geodesics.comparison.method import Method
    from diffusion_geodesics.measures import External
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

        return interpolate(model, (pair.a, pair.b), self._settings(pair))

    def results(self, model: DiffusionModel, pairs: Sequence[BatchPair]) -> Sequence[object]:
        from diffusion_geodesics.interpolation.many import Film, interpolate_many

        if len(pairs) == 1:
            return super().results(model, pairs)
        return interpolate_many(model, [Film((p.a, p.b), self._settings(p)) for p in pairs])

    def together(self, model: DiffusionModel) -> int:
        return 4  # see docs/batch.md for what that gains

    def _settings(self, pair: BatchPair) -> InterpolationSettings:
        prompts = self.settings.prompts.of_pair(pair.prompt_a, pair.prompt_b)
        return self.settings.updated(**prompts)


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


@final
@dataclass(frozen=True)
class CompareJob(PairJob):
    """`diffusion_geodesics.compare` for each pair."""

    name: ClassVar[str] = "compare"
    model: ModelSettings
    settings: ComparisonSettings
    methods: tuple[Method, ...] = ()  # that are compared
    weights: Path | None = None  # folders of the networks of measures, if not the usual ones
    clip: Path | None = None

    @property
    def header(self) -> Mapping[str, Any]:
        return {**super().header, "methods": [repr(method) for method in self.methods]}

    def result(self, model: DiffusionModel, pair: BatchPair) -> object:
        from diffusion_geodesics.comparison.compare import compare
        from diffusion_geodesics.comparison.pairs import Pair

        external = _external(self.weights, self.clip)
        one = Pair(pair.name, pair.a, pair.b, pair.prompt_a, pair.prompt_b)
        return compare(model, [one], self.methods, self.settings, external=external)


@cache
def _external(weights: Path | None, clip: Path | None) -> External:
    """The measures by other people's networks, loaded once a worker."""
    from diffusion_geodesics.measures import external_measures

    return external_measures(weights, clip)
