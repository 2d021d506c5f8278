"""The segments of a film: joined, solved and measured, a group of them in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from diffusion_geodesics.interpolation.kept_segments import KeptSegments
from diffusion_geodesics.interpolation.paths import (
    PathMethod,
    coordinates_between,
    path_method,
    references,
)
from diffusion_geodesics.interpolation.result import Segment
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.latents.geometry import Pair, path_geometry
from diffusion_geodesics.latents.profile import measure_paths
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.content_key import content_key
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.version import __version__

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
        (settings.path, settings.metric, settings.solve, settings.inversion),
        (encoded.negative, encoded.null, encoded.prompts.blend),
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
    """Join pairs, and measure the paths and those that they are compared with, in one batch."""
    joined = method.join(run, noised, pairs)
    geometry = path_geometry(noised, settings.metric, settings.solve.seed, pairs)
    coordinates = coordinates_between(noised, pairs, flat=settings.metric.flat)
    solution = joined.solution
    random = geometry.search_score is not geometry.score
    known = None if solution is None or random else solution.profile
    with run.stage("measure"):
        own = measure_paths(geometry, coordinates, joined.paths, known)
        others = [
            measure_paths(geometry, coordinates, other.join(run, noised, pairs).paths)
            for other in references(settings)
        ]
    return [
        Segment(
            first=pair[0],
            last=pair[1],
            profile=own[i],
            references=tuple(profiles[i] for profiles in others),
            solution=None if solution is None else solution.pair(i),
            matches=None if joined.matches is None else joined.matches[i],
        )
        for i, pair in enumerate(pairs)
    ]
