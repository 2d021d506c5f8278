r"""What an interpolation will cost, before it is run: network evaluations, operations, memory.

Most stages are exact, since their counts follow from the settings (matching is left out by networks
without features). Three are upper bounds, because they stop early: text inversion, the inversion's
refinements, and the solver.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from diffusion_geodesics.bvp import PreconditionedFlow
from diffusion_geodesics.bvp.checks import MAX_NFE
from diffusion_geodesics.correspondence import FeatureSettings
from diffusion_geodesics.diffusion import (
    Codec,
    Condition,
    Denoiser,
    codec_flops,
    evaluation_flops,
    guidance_bump,
    network_bytes,
    sampling_nfe,
)
from diffusion_geodesics.interpolation.paths import (
    PAIR_INTERVALS,
    PAIR_STEPS,
    PAIR_VERIFICATION,
    bending_solver,
)
from diffusion_geodesics.interpolation.segments import ALONE, COMPARED, groups_of
from diffusion_geodesics.interpolation.settings import InterpolationSettings, PathName
from diffusion_geodesics.interpolation.timeline import Chain, compared_frames, frame_count
from diffusion_geodesics.latents.choices import (
    rule_of,
    sampler_of,
    solver_of,
    text_inversion_of,
    window_of,
)
from diffusion_geodesics.latents.mixture import LEVELS, weights_nfe
from diffusion_geodesics.latents.profile import INTERVALS
from diffusion_geodesics.latents.settings import ScoreKind
from diffusion_geodesics.latents.warped_path import NODES
from diffusion_geodesics.models import DiffusionModel, as_model
from diffusion_geodesics.runtime.cost import Cost, CostBreakdown, Counts, Operations

ADAPTIVE = ("text", "invert", "solve", "geodesic")
"""Stages that may stop early: their costs are upper bounds."""
VERIFY = 65
"""Points at which a geodesic is verified."""


@final
@dataclass(frozen=True)
class Estimation:
    """A prediction of :func:`interpolate`'s cost."""

    costs: CostBreakdown
    """Upper bounds for the stages in ``ADAPTIVE``; seconds are 0 unless timed."""
    size: tuple[int, int]
    """(height, width) of the images."""
    dim: int
    """Coordinates of a latent."""
    operations: Operations
    """Of one evaluation, and of coding one image."""
    seconds_each: float | None
    """Time of one evaluation, where it was asked for."""
    weights: int
    """Bytes of the networks' weights."""
    batch: int
    """Latents in one piece of a batch, given the memory that is free now."""
    batch_bytes: int
    """What they need while they are computed, a rough guess."""


def estimate(
    model: DiffusionModel,
    settings: InterpolationSettings | None = None,
    *,
    keyframes: int = 2,
    timed: bool = False,
) -> Estimation:
    """Predict what :func:`interpolate` will cost with these settings.

    Args:
        settings: as for ``interpolate``; without a size that of the model is taken.
        timed: time one evaluation as well; seconds are then evaluations times that, which batches
            on a GPU beat.

    Raises:
        ValueError: a size that the model does not take, or fewer than two keyframes.

    Cost: one evaluation, another one for a natural path and one more if timed, and one image
    through the autoencoder at a quarter of the edge (its operations are proportional to the pixels,
    but for a few per cent of attention).
    """
    settings = (settings or InterpolationSettings()).checked()
    if keyframes < 2:
        raise ValueError(f"got {keyframes} keyframes; expected at least 2")
    asked = settings.framing.size or as_model(model).native_size
    height, width = (asked, asked) if isinstance(asked, int) else asked
    denoiser, codec = model.denoiser(height, width), model.codec(height, width)
    condition = model.encode_prompt(settings.prompts.each(keyframes)[0])
    natural = settings.path is PathName.NATURAL and not _unbent(settings)
    if natural and not _has_features(denoiser, condition):
        settings = settings.model_copy(update={"path": PathName.GEODESIC})
    coding = _codec_flops(model, height, width)
    operations = Operations(evaluation_flops(denoiser, condition), *coding)
    seconds = _seconds(denoiser, condition) if timed else None
    costs = CostBreakdown()
    for stage, counts in _stages(denoiser, settings, keyframes):
        tflop = operations.tflop(counts)
        spent = 0.0 if seconds is None else tflop / (operations.evaluation / 1e12) * seconds
        costs = costs.add(stage, Cost(counts.nfe, counts.batches, spent, tflop))
    chain, batches = _chain(settings, keyframes), denoiser.network.batches
    frames = -(-frame_count(settings.film, chain) // len(groups_of(len(chain.pairs))))
    largest = max(frames * (2 if settings.film.guidance != 1 else 1), INTERVALS + 1, VERIFY)
    batch = min(batches.rows, largest)
    return Estimation(
        costs=costs,
        size=(height, width),
        dim=denoiser.network.dim,
        operations=operations,
        seconds_each=seconds,
        weights=network_bytes(denoiser.network, codec),
        batch=batch,
        batch_bytes=batch * batches.bytes_per_row,
    )


def _chain(settings: InterpolationSettings, keyframes: int) -> Chain:
    """The chain through images that all differ."""
    return Chain.through(keyframes, closed=settings.film.loop)


def _stages(
    denoiser: Denoiser, settings: InterpolationSettings, keyframes: int
) -> Iterator[tuple[str, Counts]]:
    """What each stage counts; at most, for those that stop early."""
    sampler = sampler_of(settings.inversion)
    inversion, chain = settings.inversion, _chain(settings, keyframes)
    pairs = len(chain.pairs)
    groups = [group.stop - group.start for group in groups_of(pairs)]
    rungs = len(denoiser.schedule.ladder(inversion.steps, inversion.level))
    asked = 1 + 2 * keyframes  # to count operations, and to see whether the images are known
    yield "encode", Counts(nfe=asked, batches=2, encoded=keyframes, decoded=keyframes)
    text = text_inversion_of(settings.prompts)
    if text is not None:
        most = text.most_nfe
        yield "text", Counts(keyframes * most, most, backward=keyframes * text.steps)
    steps = sum(sampler.evaluations(last=k == rungs - 1) for k in range(rungs))
    walks = steps * sampler.sweeps * (1 + inversion.refinements)
    yield "invert", Counts(keyframes * walks, walks)
    if settings.path is PathName.NATURAL:
        features = FeatureSettings()
        nfe, batches = pairs * features.nfe(2), pairs * features.batches
        if settings.excess_used > 0:
            nfe, batches = nfe + weights_nfe(pairs), batches + pairs * len(LEVELS)
        yield "match", Counts(nfe, batches, encoded=pairs * (NODES - 2))
    if settings.path.solved and not _unbent(settings):
        yield "solve", sum((_solve(denoiser, settings, n) for n in groups), Counts())
    if not settings.film_only:
        if settings.path is not PathName.GEODESIC:
            yield "geodesic", sum((_geodesic(denoiser, settings, n) for n in groups), Counts())
        yield "metamorphosis", Counts()
    yield "measure", sum((_measure(denoiser, settings, n) for n in groups), Counts())
    frames = frame_count(settings.film, chain)
    between = torch.full((frames - keyframes,), 0.5, dtype=torch.float64)
    t = between  # at the images there is no guidance, and mixtures are the images themselves
    if settings.path is not PathName.NATURAL or settings.excess_used == 0:
        t = torch.cat([between.new_zeros(keyframes), between])
    nfe = sampling_nfe(sampler, rungs, guidance_bump(t, settings.film.guidance))
    yield "decode", Counts(nfe, steps * len(groups), decoded=frames)
    if not settings.film_only:
        films = 1 if settings.path is PathName.GEODESIC else 2
        new = compared_frames(chain, frames) - keyframes
        nfe = sampling_nfe(sampler, rungs, guidance_bump(between[:new], settings.film.guidance))
        batches = min(len(groups), new) * steps
        yield "compare", Counts(films * nfe, films * batches, decoded=films * new)


def _unbent(settings: InterpolationSettings) -> bool:
    """Whether the warped path itself is taken, and nothing is solved."""
    return settings.path is PathName.NATURAL and settings.metric.alpha_for(1) == 0


def _solve(denoiser: Denoiser, settings: InterpolationSettings, pairs: int) -> Counts:
    """Most evaluations of the solver: ends, levels, verification, a look at the initial path; and
    calibration where the curvature of the score is not known."""
    solve, metric = settings.solve, settings.metric
    solver = bending_solver(solve) if settings.path is PathName.NATURAL else solver_of(solve)
    levels = solver.levels(solve.tol, solve.max_steps)
    measured = solver.verification + 1 if isinstance(solver, PreconditionedFlow) else VERIFY
    points, batches = 2 * solve.starts + measured + MAX_NFE, 4
    if metric.score is not ScoreKind.LEVEL:
        points, batches = points + 2 * (levels[0].intervals - 1) * solve.starts, batches + 1
    for level in levels:
        points += solve.starts * (level.intervals - 1) * (level.max_steps + 1)
        batches += level.max_steps + 1
    each = _each(denoiser, settings, random=metric.score is ScoreKind.PUBLISHED_RANDOM)
    return Counts(pairs * points * each.nfe, batches * each.batches)


def _geodesic(denoiser: Denoiser, settings: InterpolationSettings, pairs: int) -> Counts:
    """Most evaluations of the geodesic of the pair: see `pair_geodesic`."""
    points = 2 + (PAIR_INTERVALS - 1) * (PAIR_STEPS + 1) + PAIR_VERIFICATION + 1 + MAX_NFE
    batches = PAIR_STEPS + 5
    if settings.metric.score is not ScoreKind.LEVEL:
        points, batches = points + 2 * (PAIR_INTERVALS - 1), batches + 1
    each = _each(denoiser, settings, random=False)
    return Counts(pairs * points * each.nfe, batches * each.batches)


def _measure(denoiser: Denoiser, settings: InterpolationSettings, pairs: int) -> Counts:
    """Paths measured in the metric, and their density where the metric is another's. What was
    solved for is known in the metric, unless the solver followed a random score. A film alone has
    its own path measured, and others only where that seems to leave the typical set."""
    path, plain = settings.path, settings.metric.score is ScoreKind.LEVEL
    each = _each(denoiser, settings, random=False)
    random = settings.metric.score is ScoreKind.PUBLISHED_RANDOM
    solved = path.solved and not _unbent(settings)

    def points(intervals: int, *, known: bool) -> Counts:
        count = (intervals + 1) * pairs
        metric = Counts() if known else Counts(count * each.nfe, each.batches)
        return metric if plain else metric + Counts(count, 1)

    if settings.film_only:
        return points(ALONE, known=solved and not random)
    found = points(INTERVALS, known=solved and not random)
    for _ in range(1 if path in (PathName.SLERP, PathName.LERP) else 2):
        found = found + points(COMPARED, known=False)
    return found if path is PathName.GEODESIC else found + points(COMPARED, known=True)


def _each(denoiser: Denoiser, settings: InterpolationSettings, *, random: bool) -> Counts:
    """What one point of the metric's score costs."""
    metric, schedule = settings.metric, denoiser.schedule
    if not metric.score.distilled:
        return Counts(2 if metric.score is ScoreKind.RATIO else 1, 1)
    rule = rule_of(metric.score)
    if random:
        return Counts(rule.evaluations, 1)
    steps = window_of(schedule, metric, settings.inversion).timesteps
    mixed = [rule.contrast(*schedule.coefficients(step)) for step in steps]
    used = [(m.condition, m.null, m.negative) for m in mixed]
    return Counts(sum(weight != 0 for weights in used for weight in weights), len(steps))


def _codec_flops(model: DiffusionModel, height: int, width: int) -> tuple[float, float]:
    """Operations of encoding and decoding one image, from a smaller one if the model takes that."""
    multiple = model.size_multiple
    small = tuple(max(multiple, edge // 4 // multiple * multiple) for edge in (height, width))
    try:
        codec: Codec = model.codec(*small)
    except ValueError:  # a model of one size
        small, codec = (height, width), model.codec(height, width)
    scale = (height * width) / (small[0] * small[1])
    encoding, decoding = codec_flops(codec)
    return scale * encoding, scale * decoding


def _has_features(denoiser: Denoiser, condition: Condition) -> bool:
    """Whether images can be matched; else a natural path is the geodesic."""
    return bool(denoiser.features(*_anywhere(denoiser), condition))


def _anywhere(denoiser: Denoiser) -> tuple[Tensor, float]:
    """A latent and a time step."""
    return torch.zeros(1, denoiser.network.dim), denoiser.schedule.timesteps(2)[-1]


def _seconds(denoiser: Denoiser, condition: Condition) -> float:
    x, timestep = _anywhere(denoiser)
    started = time.perf_counter()
    denoiser.output(x, timestep, condition).cpu()
    return time.perf_counter() - started
