r"""Interpolation: paths through images, decoded.

All images are encoded and inverted to a noise level by a deterministic sampler, neighbours are
joined there by a path, and points along it are denoised and decoded.

References:
    Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025, section 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, guidance_bump
from diffusion_geodesics.images import ImageSource, psnr
from diffusion_geodesics.interpolation.diagnostics import demand_typical, diagnose
from diffusion_geodesics.interpolation.paths import (
    Joined,
    coordinates_between,
    path_method,
    references,
)
from diffusion_geodesics.interpolation.result import InterpolationResult, Segment, Strip
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.interpolation.timeline import timeline
from diffusion_geodesics.latents.choices import curve_of
from diffusion_geodesics.latents.decode import decode
from diffusion_geodesics.latents.encode import Noised, encode, invert
from diffusion_geodesics.latents.geometry import Pair, path_geometry
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.latents.profile import measure_paths
from diffusion_geodesics.latents.text_embeddings import optimise_embeddings
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.run import Observer, Run

COMPARED = 9
"""Most frames a segment that are decoded of the path that the result is compared with."""


def interpolate(
    model: DiffusionModel,
    keyframes: Sequence[ImageSource],
    settings: InterpolationSettings | None = None,
    *,
    observer: Observer | None = None,
    **changes: Any,
) -> InterpolationResult:
    """Morph images into one another.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        keyframes: at least two images: paths, Pillow images, or tensors (3, height, width) with
            values in [0, 1].
        settings: every choice; the defaults follow from the measurements in the documentation.
        observer: told of progress; an exception that it raises cancels the run.
        **changes: single settings by name, such as ``frames=33`` or ``prompt="a cat"``.

    Returns:
        Frames, paths, log density, distance, cost and warnings; :func:`diffusion_geodesics.save`
        writes them into a folder.

    Raises:
        SettingsError: a setting out of range, or settings that do not go together.
        ValueError: two identical images.
        ImageError: an image that cannot be used.
        AtypicalError: the path leaves the typical set, and that was not allowed.
        NonFiniteError, OutOfMemoryError: from the networks.

    Cost: itemised in ``costs``; :func:`diffusion_geodesics.estimate` predicts it.
    """
    settings = (settings or InterpolationSettings()).updated(**changes)
    run = Run(observer)
    pictures = load_pictures(model, keyframes, settings.framing, least=2)
    encoded = optimise_embeddings(run, encode(run, model, pictures, settings.prompts), model.hash)
    noised = invert(run, encoded, settings.inversion)
    pairs = list(pairwise(range(len(keyframes))))
    joined = path_method(settings).join(run, noised, pairs)
    segments = _segments(run, noised, settings, pairs, joined)
    if joined.solution is not None and not settings.allow_atypical:
        demand_typical(segments, settings)
    strip = _strip(run, noised, settings, segments, 0, settings.film.frames)
    compared = None
    if settings.compare:
        count = min(COMPARED * len(segments), settings.film.frames)
        compared = _strip(run, noised, settings, segments, 1, count)
    at = list(strip.timeline.keyframes)
    found = psnr(strip.frames[at], pictures.images.to(strip.frames))
    if settings.film.keep_pixels:
        frames = strip.frames.clone()
        frames[at] = pictures.images.to(frames)
        strip = replace(strip, frames=frames)
    result = InterpolationResult(
        settings=settings,
        model=model.info,
        pictures=pictures,
        strip=strip,
        compared=compared,
        segments=segments,
        alpha=settings.metric.alpha_for(encoded.dim),
        dim=encoded.dim,
        keyframe_psnr=tuple(found.tolist()),
        codec_psnr=tuple(encoded.codec_psnr.tolist()),
        costs=run.costs,
    )
    return replace(result, warnings=(*noised.notes, *diagnose(result)))


def _segments(
    run: Run,
    noised: Noised,
    settings: InterpolationSettings,
    pairs: Sequence[Pair],
    joined: Joined,
) -> tuple[Segment, ...]:
    """Measure the paths, and those that they are compared with, all pairs in one batch."""
    geometry = path_geometry(noised, settings.metric, settings.solve.seed, pairs)
    coordinates = coordinates_between(noised, pairs, flat=settings.metric.flat)
    solution = joined.solution
    random = geometry.search_score is not geometry.score
    known = None if solution is None or random else solution.profile
    with run.stage("measure"):
        own = measure_paths(geometry, coordinates, joined.paths, known)
        others = [
            measure_paths(geometry, coordinates, method.join(run, noised, pairs).paths)
            for method in references(settings)
        ]
    return tuple(
        Segment(
            first=pair[0],
            last=pair[1],
            profile=own[i],
            references=tuple(profiles[i] for profiles in others),
            solution=None if solution is None else solution.pair(i),
            matches=None if joined.matches is None else joined.matches[i],
        )
        for i, pair in enumerate(pairs)
    )


def _strip(
    run: Run,
    noised: Noised,
    settings: InterpolationSettings,
    segments: Sequence[Segment],
    which: int,
    count: int,
) -> Strip:
    """Frames of one of the measured paths, denoised and decoded in one batch."""
    profiles = [segment.profiles[which] for segment in segments]
    places = timeline(settings.film.spacing, count, profiles)
    latents, conditions = [], []
    for number, (segment, profile) in enumerate(zip(segments, profiles, strict=True)):
        t = places.on(number)
        latents.append(profile.path.latent(t))
        conditions.append(_condition(noised, segment, t))
    frames = decode(
        run,
        noised.parts,
        noised.inversion,
        torch.cat(latents),
        Condition.stack(conditions),
        negative=noised.encoded.negative,
        guidance=guidance_bump(places.t.to(latents[0]), settings.film.guidance),
        stage="decode" if which == 0 else "compare",
    )
    return Strip(profiles[0].name, frames, places)


def _condition(noised: Noised, segment: Segment, t: Float[Tensor, " frames"]) -> Condition:
    encoded = noised.encoded
    first, last = encoded.conditions[segment.first], encoded.conditions[segment.last]
    return curve_of(encoded.prompts.blend, first, last).at(t.to(noised.latents))
