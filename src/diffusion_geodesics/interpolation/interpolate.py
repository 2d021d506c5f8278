r"""Interpolation: paths through images, decoded.

All images are encoded and inverted to a noise level by a deterministic sampler, neighbours are
joined there by a path, and points along it are denoised and decoded.

References:
    Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025, section 4.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.interpolation.diagnostics import demand_typical, diagnose
from diffusion_geodesics.interpolation.frames import Decoder, at_keyframes, with_pixels
from diffusion_geodesics.interpolation.kept_segments import KeptSegments
from diffusion_geodesics.interpolation.mask import Mask, load_mask, masked
from diffusion_geodesics.interpolation.paths import PAIR_INTERVALS
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.interpolation.segments import join_chain, segment_keys
from diffusion_geodesics.interpolation.settings import InterpolationSettings, PathName
from diffusion_geodesics.interpolation.timeline import Chain, chain_of, frame_count, repeats
from diffusion_geodesics.latents.encode import encode, invert
from diffusion_geodesics.latents.memory import SOLVER_COPIES, demand_memory
from diffusion_geodesics.latents.pictures import Pictures, load_pictures
from diffusion_geodesics.latents.text_embeddings import optimise_embeddings
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.runtime.run import Observer, Run


def interpolate(
    model: DiffusionModel,
    keyframes: Sequence[ImageSource],
    settings: InterpolationSettings | None = None,
    *,
    resume: str | os.PathLike[str] | None = None,
    observer: Observer | None = None,
    **changes: Any,
) -> InterpolationResult:
    """Morph images into one another.

    Args:
        model: from :func:`diffusion_geodesics.load_model`.
        keyframes: at least two images: paths, Pillow images, or tensors (3, height, width) with
            values in [0, 1]. The film rests on one that is given several times in a row.
        settings: every choice; the defaults follow from the measurements in the documentation.
        resume: a folder that keeps finished segments by what they were made from; a film that was
            interrupted goes on from there, and ends bit by bit as it would have.
        observer: told of progress; an exception that it raises cancels the run.
        **changes: single settings by name, such as ``loop=True`` or ``prompt="a cat"``.

    Returns:
        Frames, paths, log density, distance, cost and warnings; :func:`diffusion_geodesics.save`
        writes them into a folder.

    Raises:
        SettingsError: a setting out of range, or settings that do not go together.
        ValueError: images that are all the same, or fewer frames than images.
        ImageError: an image that cannot be used.
        AtypicalError: the path leaves the typical set, and that was not allowed.
        NonFiniteError, OutOfMemoryError: from the networks.

    Cost: itemised in ``costs``; :func:`diffusion_geodesics.estimate` predicts it.
    """
    settings = (settings or InterpolationSettings()).updated(**changes)
    run = Run(observer)
    pictures, mask = framed(model, keyframes, settings)
    chain = chain_of(pictures, closed=settings.film.loop)
    _demand_memory(model, pictures, chain, settings)
    encoded = optimise_embeddings(run, encode(run, model, pictures, settings.prompts), model.hash)
    noised = invert(run, encoded, settings.inversion)
    kept = KeptSegments.within(resume, noised)
    keys = segment_keys(model, noised, settings, chain.pairs)
    notes = (*encoded.notes, *repeats(pictures, chain), *kept.notes(keys))
    segments = join_chain(run, noised, settings, chain.pairs, keys, kept)
    decoder = Decoder(noised, segments, settings, chain, mask, keys, kept)
    return finished(run, model, decoder, notes)


def framed(
    model: DiffusionModel, keyframes: Sequence[ImageSource], settings: InterpolationSettings
) -> tuple[Pictures, Mask | None]:
    """The images at one size, and where they may change."""
    framing = settings.framing
    pictures = load_pictures(
        model, keyframes, framing, least=2, distinct=False, background=settings.film.colour
    )
    mask = load_mask(pictures, settings.masks, framing)
    return masked(pictures, mask), mask


def finished(
    run: Run, model: DiffusionModel, decoder: Decoder, notes: Sequence[Diagnostic]
) -> InterpolationResult:
    """The film of segments that are joined and measured: decoded, and what is known about it."""
    noised, segments, settings = decoder.noised, decoder.segments, decoder.settings
    encoded = noised.encoded
    if segments[0].solution is not None and not settings.allow_atypical:
        demand_typical(segments, settings)
    strip = decoder.film(run)
    compared = () if settings.film_only else decoder.compared(run, strip)
    found = at_keyframes(strip, noised)
    if settings.film.keep_pixels:
        strip = with_pixels(strip, noised)
    result = InterpolationResult(
        settings=settings,
        model=model.info,
        pictures=encoded.pictures,
        strip=strip,
        compared=compared,
        segments=tuple(segments),
        alpha=settings.metric.alpha_for(encoded.dim),
        dim=encoded.dim,
        keyframe_psnr=tuple(found.tolist()),
        codec_psnr=tuple(encoded.codec_psnr.tolist()),
        costs=run.costs,
    )
    return replace(result, warnings=(*notes, *noised.noise_notes, *diagnose(result)))


def _demand_memory(
    model: DiffusionModel, pictures: Pictures, chain: Chain, settings: InterpolationSettings
) -> None:
    solve, frames = settings.solve, frame_count(settings.film, chain)
    natural = settings.path is PathName.NATURAL
    nodes = solve.bend_intervals if natural else max(solve.intervals)
    each = solve.starts * nodes if settings.path.solved else 0
    paths = len(chain.pairs) * (each if settings.film_only else max(each, PAIR_INTERVALS))
    demand_memory(
        model,
        pictures.size,
        images=len(pictures.images) + frames,
        latents=SOLVER_COPIES * paths + frames,
    )
