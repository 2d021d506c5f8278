"""Several films at once: what is small is computed in one network batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import final

import torch

from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.interpolation.frames import Decoder
from diffusion_geodesics.interpolation.interpolate import finished, framed
from diffusion_geodesics.interpolation.kept_segments import KeptSegments
from diffusion_geodesics.interpolation.mask import Mask
from diffusion_geodesics.interpolation.result import InterpolationResult, Segment
from diffusion_geodesics.interpolation.segments import join_chain, segment_keys
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.interpolation.timeline import Chain, chain_of, repeats
from diffusion_geodesics.latents.encode import Noised, encode, invert
from diffusion_geodesics.latents.model_notes import model_notes
from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.latents.text_embeddings import optimise_embeddings
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.run import Run


@final
@dataclass(frozen=True)
class Film:
    """One of several films."""

    keyframes: Sequence[ImageSource]  # its images
    settings: InterpolationSettings


@final
@dataclass(frozen=True)
class _Loaded:
    """A film with its images loaded, and where they are in the batch."""

    film: Film
    pictures: Pictures
    mask: Mask | None
    chain: Chain
    images: slice
    segments: slice

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Numbers in the batch of the images that its segments join."""
        first = self.images.start
        return [(first + i, first + j) for i, j in self.chain.pairs]


def interpolate_many(model: DiffusionModel, films: Sequence[Film]) -> list[InterpolationResult]:
    """Several films, each as :func:`diffusion_geodesics.interpolate` gives it, to rounding.

    Images of equal size are encoded, inverted and joined in one batch; frames are decoded film by
    film. The cost of what was computed together is shared out evenly."""
    loaded: list[tuple[Film, Pictures, Mask | None]] = [
        (film, *framed(model, film.keyframes, film.settings)) for film in films
    ]
    results: dict[int, InterpolationResult] = {}
    for size in dict.fromkeys(pictures.size for _, pictures, _ in loaded):
        where = [i for i, (_, pictures, _) in enumerate(loaded) if pictures.size == size]
        found = _of_one_size(model, [loaded[i] for i in where])
        results |= dict(zip(where, found, strict=True))
    return [results[i] for i in range(len(films))]


def _of_one_size(
    model: DiffusionModel, loaded: Sequence[tuple[Film, Pictures, Mask | None]]
) -> list[InterpolationResult]:
    run, parts = Run(), _placed(loaded)
    common = parts[0].film.settings
    texts = [t for p in parts for t in p.film.settings.prompts.each(len(p.pictures.images))]
    prompts = common.prompts.model_copy(update={"prompt": tuple(texts)})
    joint = Pictures(
        torch.cat([p.pictures.images for p in parts]),
        tuple(name for p in parts for name in p.pictures.names),
        tuple(note for p in parts for note in p.pictures.notes),
    )
    encoded = optimise_embeddings(run, encode(run, model, joint, prompts), model.hash)
    noised = invert(run, encoded, common.inversion)
    pairs = [pair for part in parts for pair in part.pairs]
    keys = segment_keys(model, noised, common, pairs)
    kept = KeptSegments.within(None, noised)
    segments = join_chain(run, noised, common, pairs, keys, kept)
    return [
        _finished(run, model, part, noised, segments[part.segments], keys[part.segments], kept,
                  1 / len(parts))
        for part in parts
    ]  # fmt: skip


def _placed(loaded: Sequence[tuple[Film, Pictures, Mask | None]]) -> list[_Loaded]:
    found: list[_Loaded] = []
    image = segment = 0
    for film, pictures, mask in loaded:
        chain = chain_of(pictures, closed=film.settings.film.loop)
        images = slice(image, image + len(pictures.images))
        segments = slice(segment, segment + len(chain.pairs))
        found.append(_Loaded(film, pictures, mask, chain, images, segments))
        image, segment = images.stop, segments.stop
    return found


def _finished(
    shared: Run,
    model: DiffusionModel,
    part: _Loaded,
    noised: Noised,
    segments: Sequence[Segment],
    keys: Sequence[str],
    kept: KeptSegments,
    share: float,
) -> InterpolationResult:
    """One of the films, with its share of what they cost together."""
    run, first = Run(), part.images.start
    run.meter, run.operations = shared.meter, shared.operations
    for stage, cost in shared.costs.stages:
        run.charge(stage, cost.scaled(share))
    own = _part(model, noised, part)
    segments = tuple(replace(s, first=s.first - first, last=s.last - first) for s in segments)
    decoder = Decoder(own, segments, part.film.settings, part.chain, part.mask, keys, kept)
    return finished(run, model, decoder, (*own.encoded.notes, *repeats(part.pictures, part.chain)))


def _part(model: DiffusionModel, noised: Noised, part: _Loaded) -> Noised:
    """The images of one film."""
    encoded, here, prompts = noised.encoded, part.images, part.film.settings.prompts
    texts = (*prompts.each(len(part.pictures.images)), prompts.negative)
    own = replace(
        encoded,
        pictures=part.pictures,
        clean=encoded.clean[here],
        conditions=encoded.conditions[here],
        prompts=prompts,
        codec_psnr=encoded.codec_psnr[here],
        notes=(*part.pictures.warnings, *model_notes(model, texts)),
    )
    return replace(noised, encoded=own, latents=noised.latents[here])
