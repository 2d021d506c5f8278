"""The comparison on pairs that know their truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from benchmarks.truth.measure import Truth, true_way
from benchmarks.truth.pairs import TruePair
from diffusion_geodesics import Settings
from diffusion_geodesics.apps.events import OnEvent, ignore
from diffusion_geodesics.apps.evidence import (
    Comparison,
    Fixed,
    Method,
    PixelBlend,
    Reel,
    Rendered,
    Stage,
    compare,
)
from diffusion_geodesics.diffusion import Codec, Cost
from diffusion_geodesics.models import DiffusionModel

TRUTH = "truth"


@final
@dataclass(frozen=True, eq=False)
class TrueFrames(Method):
    """The truth at equal steps, through the model's autoencoder: what no method can beat."""

    pairs: Mapping[str, TruePair]
    codec: Codec

    def __repr__(self) -> str:
        return f"TrueFrames({sorted(self.pairs)})"

    @property
    def name(self) -> str:
        return TRUTH

    def reel(self, stage: Stage, pair: str) -> Reel:
        size, count = stage.images.shape[-1], stage.settings.frames
        way = true_way(self.pairs[pair], self.codec, size, count)
        return Fixed(torch.cat([way.dense[:1], way.true, way.dense[-1:]]))


@final
@dataclass(frozen=True)
class SoftBlend(Method):
    """A cross-fade of the pixels, put through the autoencoder like the truth and all the others."""

    @property
    def name(self) -> str:
        return PixelBlend().name

    def reel(self, stage: Stage, pair: str) -> Reel:
        (first, last), codec = stage.images, stage.job.codec

        def show(t: Tensor) -> tuple[Tensor, Cost]:
            faded = torch.lerp(first, last, t.to(first)[:, None, None, None])
            return codec.decode(codec.encode(faded)), Cost()

        return Rendered(show)


def run(
    model: DiffusionModel,
    cases: Sequence[TruePair],
    methods: Sequence[Method],
    settings: Settings,
    *,
    truth: bool = True,
    prompts: bool = False,
    resume: Path | None = None,
    on_event: OnEvent = ignore,
) -> Comparison:
    """Methods on pairs, measured against the truth.

    Args:
        model: of the domain of the heads.
        cases: pairs.
        methods: that are compared.
        settings: of the comparison.
        truth: whether the true frames are among the methods, as the first.
        prompts: whether captions are prompts.
        resume: folder of finished pairs.
        on_event: told of progress.
    """
    size = model.native_size
    codec, known = model.codec(size, size), {c.name: c for c in cases}
    return compare(
        model,
        [c.pair(size, prompts) for c in cases],
        [TrueFrames(known, codec), *methods] if truth else methods,
        settings,
        further=lambda pair: [Truth(known[pair.name], codec)],
        truth=TRUTH if truth else None,
        resume=resume,
        on_event=on_event,
    )


def by_kind(done: Comparison, cases: Sequence[TruePair]) -> dict[str, Comparison]:
    """The comparison of each kind of pair, and of all."""
    kinds = {c.name: c.kind.value for c in cases}
    parts = {
        kind: replace(done, pairs=[p for p in done.pairs if kinds[p.name] == kind])
        for kind in dict.fromkeys(kinds.values())
    }
    return {"all pairs": done, **parts} if len(parts) > 1 else parts
