"""The comparison itself: every method on every pair, pair by pair, so that it can go on later."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.events import Event, OnEvent, ignore
from diffusion_geodesics.apps.evidence.along import PATH_QUANTITIES, path_scores
from diffusion_geodesics.apps.evidence.comparison import Comparison, Outcome, PairResult
from diffusion_geodesics.apps.evidence.folders import Pair
from diffusion_geodesics.apps.evidence.kept import Kept
from diffusion_geodesics.apps.evidence.method import Method
from diffusion_geodesics.apps.evidence.stage import Stage, set_stage
from diffusion_geodesics.apps.settings import Family, Settings
from diffusion_geodesics.diffusion import Codec, NonFiniteError
from diffusion_geodesics.measures import (
    Better,
    External,
    FeatureLength,
    Features,
    Measure,
    Pictures,
    Quantity,
    Strip,
)
from diffusion_geodesics.models import DiffusionModel

RIVAL = Family.SLERP.value
STRENGTH = 1.0
"""α·d of the metric that paths are measured in by default: that of a `Geodesic`."""

COST_QUANTITIES = (
    Quantity("rows", Better.NEITHER, "network rows of inversion, solver and these frames"),
    Quantity("seconds", Better.NEITHER, "the same in wall time; depends on the machine"),
)

MeasuresOf = Callable[[Pair], Sequence[Measure]]
"""Further measures of one pair, such as those that know its truth."""


@final
@dataclass(frozen=True)
class CodecFeatures(Features):
    """Latents of the model's autoencoder."""

    codec: Codec

    @property
    def name(self) -> str:
        return "latents of the model's autoencoder"

    def __call__(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images coordinates"]:
        return self.codec.encode(images)


def compare(
    model: DiffusionModel,
    pairs: Sequence[Pair],
    methods: Sequence[Method],
    settings: Settings | None = None,
    *,
    external: External | None = None,
    further: MeasuresOf | None = None,
    truth: str | None = None,
    resume: str | Path | None = None,
    seed: int = 0,
    on_event: OnEvent = ignore,
) -> Comparison:
    """Every method on every pair, from one inversion a pair, measured at equal feature steps.

    Args:
        model: that all methods use.
        pairs: images to join.
        methods: names all different.
        settings: level, steps, sampler, prompts, size and number of frames; metric and density
            along paths are measured with its strength, estimate and chart. Those of `Settings` by
            default, but for a strength of `STRENGTH`.
        external: measures by other people's networks; none by default.
        further: measures of a pair; every pair must give the same quantities.
        truth: the method whose frames are real images, for the two-sample test.
        resume: folder that keeps finished pairs; a run that was stopped goes on from there.
        seed: of all resampling.
        on_event: told of progress; raise in it to cancel.

    Raises:
        ValueError: no pair or method, names that occur twice, fewer than 3 frames, a method that
            needs a prompt where there is none, or a folder that belongs to another run.

    Cost: for each pair an inversion, and for each method its solver, about three rows a frame and
    step, and up to 99 rows for the path.
    """
    settings = replace(settings or Settings(strength=STRENGTH), allow_atypical=True)
    external = external or External()
    _check(pairs, methods, settings, truth)
    names = [m.name for m in methods]
    kept = Kept.open(resume, (settings, tuple(methods), model.hash, seed))
    results: list[PairResult] = []
    quantities: list[Quantity] = []
    fixed: tuple[Measure, ...] = (Pictures(), FeatureLength(), *external.measures)
    features = "latents of the model's autoencoder"
    for number, pair in enumerate(pairs):
        on_event(Event("Comparing pairs", number, len(pairs), pair.name))
        measures = [*fixed, *(further(pair) if further else ())]
        quantities = [
            *(q for m in measures for q in m.quantities),
            *PATH_QUANTITIES,
            *COST_QUANTITIES,
        ]
        found = kept.load(number, pair, names)
        if found is None:
            found = _pair(model, pair, methods, settings, measures)
            kept.save(number, pair, found)
        results.append(found)
    on_event(Event("Comparing pairs", len(pairs), len(pairs)))
    return Comparison(
        methods=names,
        quantities=quantities,
        pairs=results,
        rival=RIVAL if RIVAL in names else None,
        features=features,
        inception=external.inception,
        truth=truth,
        skipped=external.skipped,
        settings=settings.as_dict(),
        model={"id": model.id, "hash": model.hash, "device": str(model.device)},
        seed=seed,
    )


def measured(
    frames: Tensor, ends: Tensor, features: Features, measures: Sequence[Measure]
) -> dict[str, float]:
    """All measures of one strip."""
    strip = Strip(frames, ends, features(frames))
    scores: dict[str, float] = {}
    for measure in measures:
        scores |= measure(strip)
    return scores


def _pair(
    model: DiffusionModel,
    pair: Pair,
    methods: Sequence[Method],
    settings: Settings,
    measures: Sequence[Measure],
) -> PairResult:
    started = time.perf_counter()
    stage = set_stage(model, pair.a, pair.b, _for_pair(settings, pair))
    inversion = replace(stage.cost, seconds=time.perf_counter() - started)
    stage = replace(stage, cost=inversion)
    features = CodecFeatures(stage.job.codec)
    outcomes: dict[str, Outcome] = {}
    for method in methods:
        outcome = _outcome(method, stage, pair, features, measures)
        outcomes[method.name] = outcome
    return PairResult(pair.name, stage.images, outcomes)


def _outcome(
    method: Method, stage: Stage, pair: Pair, features: Features, measures: Sequence[Measure]
) -> Outcome:
    try:
        reel = method.reel(stage, pair.name)
        film = reel.film(features, stage.settings.frames)
    except NonFiniteError as error:  # one bad path must not end a run of hours
        broken = torch.zeros(stage.settings.frames, *stage.images.shape[1:])
        return Outcome(broken, {}, f"failed: {error}", failed=True)
    scores = measured(film.frames, stage.images, features, measures)
    values, _ = path_scores(stage.geometry(), reel.candidate, film.t)
    spent = reel.cost + film.cost
    if spent.rows:
        spent = spent + stage.cost
    return Outcome(
        film.frames,
        {**scores, **values, "rows": float(spent.rows), "seconds": spent.seconds},
        reel.note,
    )


def _for_pair(settings: Settings, pair: Pair) -> Settings:
    """The settings with the prompts of a pair."""
    if pair.prompt_a is None and pair.prompt_b is None:
        return settings
    first = settings.prompt_a if pair.prompt_a is None else pair.prompt_a
    return replace(settings, prompt_a=first, prompt_b=pair.prompt_b)


def _check(
    pairs: Sequence[Pair], methods: Sequence[Method], settings: Settings, truth: str | None
) -> None:
    if not pairs or not methods:
        raise ValueError(
            f"got {len(pairs)} pairs and {len(methods)} methods; expected at least one of each"
        )
    for what, names in (("pair", [p.name for p in pairs]), ("method", [m.name for m in methods])):
        if doubled := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"got the {what} {doubled[0]} twice; name each once")
    if settings.frames < 3:
        raise ValueError(f"frames is {settings.frames}; a comparison needs at least 3")
    if truth is not None and truth not in [m.name for m in methods]:
        raise ValueError(f"the truth is {truth!r}, which is none of the methods")
    for pair in pairs:
        own = _for_pair(settings, pair)
        if needy := [m.name for m in methods if m.prompted and not own.prompted]:
            raise ValueError(
                f"{needy[0]} needs a prompt, and the pair {pair.name} has none; give --prompt, or "
                "prompt_a in the file of pairs"
            )
