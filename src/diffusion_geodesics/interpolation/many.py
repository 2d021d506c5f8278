"""Several films at once: what is small is computed in one network batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import NamedTuple, final

import torch

from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.interpolation.frames import Decoder
from diffusion_geodesics.interpolation.interpolate import finished, framed
from diffusion_geodesics.interpolation.kept_segments import KeptSegments
from diffusion_geodesics.interpolation.mask import Mask
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.interpolation.segments import join_chain, segment_keys
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.interpolation.timeline import chain_of, repeats
from diffusion_geodesics.latents.domain import Familiarity
from diffusion_geodesics.latents.encode import Noised, encode, invert, notes_on
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


def interpolate_many(model: DiffusionModel, films: Sequence[Film]) -> list[InterpolationResult]:
    """Several films, each as :func:`diffusion_geodesics.interpolate` gives it, to rounding.

    Images of equal size are encoded, inverted and joined in one batch; frames are decoded film by
    film. The cost of what was computed together is shared out evenly."""
    loaded = [_Loaded(film, *framed(model, film.keyframes, film.settings)) for film in films]
    results: dict[int, InterpolationResult] = {}
    for size in dict.fromkeys(one.pictures.size for one in loaded):
        where = [i for i, one in enumerate(loaded) if one.pictures.size == size]
        found = _of_one_size(model, [loaded[i] for i in where])
        results |= dict(zip(where, found, strict=True))
    return [results[i] for i in range(len(films))]


class _Loaded(NamedTuple):
    film: Film
    pictures: Pictures
    mask: Mask | None


def _of_one_size(model: DiffusionModel, loaded: Sequence[_Loaded]) -> list[InterpolationResult]:
    run, common = Run(), loaded[0].film.settings
    every = [pictures for _, pictures, _ in loaded]
    chains = [chain_of(one.pictures, closed=one.film.settings.film.loop) for one in loaded]
    texts = [t for film, p, _ in loaded for t in film.settings.prompts.each(len(p.images))]
    prompts = common.prompts.model_copy(update={"prompt": tuple(texts)})
    joint = Pictures(
        torch.cat([pictures.images for pictures in every]),
        tuple(name for pictures in every for name in pictures.names),
        tuple(note for pictures in every for note in pictures.notes),
    )
    encoded = optimise_embeddings(run, encode(run, model, joint, prompts), model.hash)
    noised = invert(run, encoded, common.inversion)
    firsts = list(accumulate((len(pictures.images) for pictures in every), initial=0))
    pairs = [
        (k + i, k + j) for chain, k in zip(chains, firsts, strict=False) for i, j in chain.pairs
    ]
    keys = segment_keys(model, noised, common, pairs)
    kept = KeptSegments.within(None, noised)
    segments = join_chain(run, noised, common, pairs, keys, kept)
    results: list[InterpolationResult] = []
    done = 0
    for one, chain, first in zip(loaded, chains, firsts, strict=False):
        alone = Run()  # with its share of what they cost together
        alone.meter, alone.operations = run.meter, run.operations
        for stage, cost in run.costs.stages:
            alone.charge(stage, cost.scaled(1 / len(loaded)))
        mine = slice(done, done := done + len(chain.pairs))
        own = _part(model, noised, one, slice(first, first + len(one.pictures.images)))
        moved = [replace(s, first=s.first - first, last=s.last - first) for s in segments[mine]]
        decoder = Decoder(own, moved, one.film.settings, chain, one.mask, keys[mine], kept)
        notes = (*own.encoded.notes, *repeats(one.pictures, chain))
        results.append(finished(alone, model, decoder, notes))
    return results


def _part(model: DiffusionModel, noised: Noised, one: _Loaded, here: slice) -> Noised:
    """The images of one film."""
    encoded, prompts = noised.encoded, one.film.settings.prompts
    known = Familiarity(encoded.known.psnr[here], encoded.known.misfit[here])
    texts = (*prompts.each(len(one.pictures.images)), prompts.negative)
    own = replace(
        encoded,
        pictures=one.pictures,
        clean=encoded.clean[here],
        conditions=encoded.conditions[here],
        prompts=prompts,
        known=known,
        notes=notes_on(model, one.pictures, texts, known),
    )
    return replace(noised, encoded=own, latents=noised.latents[here])
