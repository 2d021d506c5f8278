"""The segments of a film: joined, solved and measured, a group of them in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from diffusion_geodesics.bvp import Solution
from diffusion_geodesics.interpolation.diagnostics import LEAST_ENERGY
from diffusion_geodesics.interpolation.image_distance import metamorphoses
from diffusion_geodesics.interpolation.kept_segments import KeptSegments
from diffusion_geodesics.interpolation.paths import (
    Joined,
    PathMethod,
    coordinates_between,
    pair_geodesic,
    path_method,
    references,
)
from diffusion_geodesics.interpolation.result import Segment
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.coordinates import Coordinates
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.latents.geometry import Geometry, Pair, path_geometry
from diffusion_geodesics.latents.profile import INTERVALS, LatentProfile, measure_paths
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.content_key import content_key
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.version import __version__

COMPARED = 16
"""Chebyshev intervals at which paths are measured that the film's is compared with."""
ALONE = 14
"""Those of the film's own path where nothing is compared: enough to place frames along it."""
GROUP = 4
"""Most segments in one batch: with 15 nodes each they fill a GPU, and a film that is killed loses
the work on so many at most."""


def groups_of(segments: int) -> list[slice]:
    """Groups of neighbouring segments, as equal as can be."""
    count = -(-segments // GROUP)
    edges = [round(i * segments / count) for i in range(count + 1)]
    return [slice(i, j) for i, j in pairwise(edges)]


def segment_keys(
    model: DiffusionModel, noised: Noised, settings: InterpolationSettings, pairs: Sequence[Pair]
) -> list[str]:
    """What each segment is made from, as a name: both images and their prompts, model, settings."""
    encoded = noised.encoded
    shared = content_key(
        (__version__, model.hash, str(model.dtype), model.device.type),
        (settings.path, settings.metric, settings.solve, settings.inversion, settings.film_only),
        (encoded.negative, encoded.null, encoded.prompts.blend, settings.excess_used),
    )
    images = [content_key(x, c) for x, c in zip(encoded.images, encoded.conditions, strict=True)]
    return [content_key(shared, images[i], images[j]) for i, j in pairs]


def join_chain(
    run: Run,
    noised: Noised,
    settings: InterpolationSettings,
    pairs: Sequence[Pair],
    keys: Sequence[str],
    kept: KeptSegments,
) -> tuple[Segment, ...]:
    """Join and measure all pairs of neighbours, group by group; finished groups are kept."""
    method = path_method(settings)
    found: list[Segment] = []
    for group in groups_of(len(pairs)):
        compute = partial(_joined, run, noised, settings, method, pairs[group])
        found.extend(kept.get(keys[group], compute))
    return tuple(found)


def _joined(
    run: Run,
    noised: Noised,
    settings: InterpolationSettings,
    method: PathMethod,
    pairs: Sequence[Pair],
) -> list[Segment]:
    """Join pairs, solve for their geodesics, and measure all paths, in one batch."""
    joined = method.join(run, noised, pairs)
    geometry = path_geometry(noised, settings.metric, settings.solve.seed, pairs)
    coordinates = coordinates_between(noised, pairs, flat=settings.metric.flat)
    geodesic, moved = joined if joined.matches is None else None, None
    if not settings.film_only:
        if geodesic is None or geodesic.solution is None:
            geodesic = pair_geodesic(settings).join(run, noised, pairs)
        with run.stage("metamorphosis"):
            moved = metamorphoses(noised.encoded.images, pairs)
    random = joined.solution is not None and geometry.search_score is not geometry.score
    with run.stage("measure"):
        intervals = ALONE if settings.film_only else INTERVALS
        own = _shown(joined, _measured(geometry, coordinates, joined, intervals, known=not random))
        others: list[tuple[LatentProfile, ...]] = []
        if not settings.film_only or any(p.least_energy < LEAST_ENERGY for p in own):
            ways = [way.join(run, noised, pairs) for way in references(settings)]
            others = [_measured(geometry, coordinates, way, COMPARED) for way in ways]
        if geodesic is not None and geodesic is not joined:
            others.append(_measured(geometry, coordinates, geodesic, COMPARED))
    return [
        Segment(
            first=pair[0],
            last=pair[1],
            profile=own[i],
            references=tuple(profiles[i] for profiles in others),
            solution=_of_pair(joined, i),
            matches=None if joined.matches is None else joined.matches[i],
            geodesic=None if geodesic is None else _of_pair(geodesic, i),
            metamorphosis=None if moved is None else moved[i],
            mixture=None if joined.mixtures is None else joined.mixtures[i],
        )
        for i, pair in enumerate(pairs)
    ]


def _measured(
    geometry: Geometry,
    coordinates: Coordinates,
    joined: Joined,
    intervals: int,
    *,
    known: bool = True,
) -> tuple[LatentProfile, ...]:
    """Profiles of joined pairs; ``known`` if what was solved for was verified in this metric."""
    profile = joined.solution.profile if joined.solution is not None and known else None
    return measure_paths(geometry, coordinates, joined.paths, profile, intervals)


def _shown(joined: Joined, profiles: tuple[LatentProfile, ...]) -> tuple[LatentProfile, ...]:
    """Profiles with the clean latents that frames show, as the denoiser estimates them."""
    if joined.mixtures is None:
        return profiles
    return tuple(
        replace(profile, clean=mixture.at(profile.t).settled(profile.clean))
        for profile, mixture in zip(profiles, joined.mixtures, strict=True)
    )


def _of_pair(joined: Joined, pair: int) -> Solution | None:
    return None if joined.solution is None else joined.solution.pair(pair)
