"""Pairs on which methods are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, final

from diffusion_geodesics.batch.jobs.model_job import PairJob
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.models.settings import ModelSettings

if TYPE_CHECKING:
    from diffusion_geodesics.comparison.method import Method
    from diffusion_geodesics.measures import External
    from diffusion_geodesics.models.model import DiffusionModel


@final
@dataclass(frozen=True)
class CompareJob(PairJob):
    """`diffusion_geodesics.compare` for each pair."""

    name: ClassVar[str] = "compare"
    model: ModelSettings
    settings: ComparisonSettings
    methods: tuple[Method, ...] = ()  # that are compared
    weights: Path | None = None
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
