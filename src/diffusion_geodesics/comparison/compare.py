"""The comparison itself: every method on every pair, pair by pair, so that it can go on later."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.comparison.diagnostics import diagnose
from diffusion_geodesics.comparison.kept_pairs import KeptPairs
from diffusion_geodesics.comparison.method import Context, Method
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.comparison.path_quantities import PATH_QUANTITIES, path_scores
from diffusion_geodesics.comparison.result import ComparisonResult, Outcome, PairResult
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.diffusion import Codec, NonFiniteError
from diffusion_geodesics.latents.encode import encode, invert
from diffusion_geodesics.latents.memory import demand_memory, usual_size
from diffusion_geodesics.latents.model_notes import model_notes
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.latents.text_embeddings import optimise_embeddings
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
from diffusion_geodesics.runtime.run import Observer, Run

BASELINE = "slerp"  # the method that win rates are against
FEATURES = "latents of the model's autoencoder"  # what frames are re-timed in
COST_QUANTITIES = (
    Quantity("NFE", Better.NEITHER, "network evaluations of inversion, path and these frames"),
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
        return FEATURES

    def __call__(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> Float[Tensor, "images coordinates"]:
        return self.codec.encode(images)


def compare(
    model: DiffusionModel,
    pairs: Sequence[Pair],
    methods: Sequence[Method],
    settings: ComparisonSettings | None = None,
    *,
    external: External | None = None,
    further: MeasuresOf | None = None,
    truth: str | None = None,
    resume: str | Path | None = None,
    observer: Observer | None = None,
    **changes: Any,
) -> ComparisonResult:
    """Every method on every pair, from one inversion a pair, measured at equal feature steps.

    Args:
        model: that all methods use.
        pairs: images to join.
        methods: names all different.
        settings: level, steps, sampler, prompts, size and number of frames; metric and density
            along paths are measured with its metric.
        external: measures by other people's networks; none by default.
        further: measures of a pair; every pair must give the same quantities.
        truth: the method whose frames are real images, for the two-sample test.
        resume: folder that keeps the results of pairs by what they were made from; a run that was
            stopped goes on from there.
        observer: told of progress; an exception that it raises cancels the run.
        **changes: single settings by name.

    Raises:
        ValueError: no pair or method, names that occur twice, or a method that needs a prompt
            where there is none.
        DamagedEntryError: a result in ``resume`` that cannot be read.

    Cost: for each pair an inversion, and for each method its path, about three evaluations a frame
    and step, and up to 99 for the path's quantities.
    """
    settings = (settings or ComparisonSettings()).updated(**changes)
    external = external or External()
    _check(pairs, methods, settings, truth)
    held = len(pairs) * len(methods) * settings.measuring.frames
    demand_memory(model, usual_size(model, settings.framing), images=held)
    names, seed = [m.name for m in methods], settings.measuring.seed
    kept = KeptPairs(resume, (repr(settings), [repr(m) for m in methods], model.hash))
    results: list[PairResult] = []
    measures: list[Measure] = []
    run = Run(observer)
    for number, pair in enumerate(pairs):
        run.report("pairs", number, len(pairs), pair.name)
        own = further(pair) if further else ()
        measures = [Pictures(), FeatureLength(), *external.measures, *own]
        work = partial(compare_pair, model, pair, methods, settings, measures)
        results.append(kept.get(pair, work))
    run.report("pairs", len(pairs), len(pairs))
    named = [quantity for measure in measures for quantity in measure.quantities]
    result = ComparisonResult(
        methods=names,
        quantities=[*named, *PATH_QUANTITIES, *COST_QUANTITIES],
        pairs=results,
        baseline=BASELINE if BASELINE in names else None,
        features=FEATURES,
        inception=external.inception,
        truth=truth,
        skipped=external.skipped,
        settings=settings,
        model=model.info,
        seed=seed,
    )
    texts = [text for pair in pairs for text in _for_pair(settings, pair).prompts.each(2)]
    return replace(result, warnings=(*model_notes(model, texts), *diagnose(result)))


def measured(
    frames: Tensor, ends: Tensor, features: Features, measures: Sequence[Measure]
) -> dict[str, float]:
    """All measures of one strip."""
    strip = Strip(frames, ends, features(frames))
    scores: dict[str, float] = {}
    for measure in measures:
        scores |= measure(strip)
    return scores


def context_of(model: DiffusionModel, pair: Pair, settings: ComparisonSettings) -> Context:
    """Both images of a pair at the noise level."""
    run, own = Run(), _for_pair(settings, pair)
    pictures = load_pictures(model, (pair.a, pair.b), own.framing, least=2)
    encoded = optimise_embeddings(run, encode(run, model, pictures, own.prompts), model.hash)
    noised = invert(run, encoded, own.inversion)
    return Context(run, model, noised, own, run.costs["invert"])


def compare_pair(
    model: DiffusionModel,
    pair: Pair,
    methods: Sequence[Method],
    settings: ComparisonSettings,
    measures: Sequence[Measure],
) -> PairResult:
    """Every method on one pair."""
    context = context_of(model, pair, settings)
    features = CodecFeatures(context.noised.encoded.codec)
    outcomes = {m.name: _outcome(m, context, pair, features, measures) for m in methods}
    notes = [note for note in context.noised.encoded.notes if note.code == "foreign"]
    return PairResult(pair.name, context.images, outcomes, " ".join(map(str, notes)))


def _outcome(
    method: Method, context: Context, pair: Pair, features: Features, measures: Sequence[Measure]
) -> Outcome:
    run, count = context.run, context.settings.measuring.frames
    before = run.costs.total
    try:
        found = method.path(context, pair.name)
        spent = run.costs.total - before
        even = found.frames(run, features, count)
    except NonFiniteError as error:  # one bad path must not end a run of hours
        broken = torch.zeros(count, *context.images.shape[1:])
        return Outcome(broken, {}, f"failed: {error}", failed=True)
    scores = measured(even.frames, context.images, features, measures)
    values = path_scores(*context.geometry(), found.latent_path, even.t)
    spent = spent + even.cost
    if spent.nfe and not found.own_inversion:
        spent = spent + context.inversion_cost
    cost = {"NFE": float(spent.nfe), "seconds": spent.seconds}
    return Outcome(even.frames, {**scores, **values, **cost}, found.note)


def _for_pair(settings: ComparisonSettings, pair: Pair) -> ComparisonSettings:
    """The settings with the prompts of a pair."""
    changes = settings.prompts.of_pair(pair.prompt_a, pair.prompt_b)
    return settings.updated(**changes) if changes else settings


def _check(
    pairs: Sequence[Pair],
    methods: Sequence[Method],
    settings: ComparisonSettings,
    truth: str | None,
) -> None:
    if not pairs or not methods:
        got = f"got {len(pairs)} pairs and {len(methods)} methods"
        raise ValueError(f"{got}; expected at least one of each")
    for what, names in (("pair", [p.name for p in pairs]), ("method", [m.name for m in methods])):
        if doubled := sorted({n for n in names if names.count(n) > 1}):
            raise ValueError(f"got the {what} {doubled[0]} twice; name each once")
    if truth is not None and truth not in [m.name for m in methods]:
        raise ValueError(f"the truth is {truth!r}, which is none of the methods")
    needy = [m.name for m in methods if m.prompted]
    for pair in pairs:
        if needy and not _for_pair(settings, pair).prompts.given:
            problem = f"{needy[0]} needs a prompt, and the pair {pair.name} has none"
            raise ValueError(f"{problem}; give a prompt, or prompt_a in the file of pairs")
