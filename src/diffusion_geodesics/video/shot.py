"""One shot of a clip, a sequence of frames without a cut, held against geodesics."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.clips import ClipError
from diffusion_geodesics.latents.geometry import Geometry, log_density
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.path import GreatArc, Line
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.video import controls
from diffusion_geodesics.video.controls import Variant, Windowed
from diffusion_geodesics.video.curves import arc_length, random_paths
from diffusion_geodesics.video.geodesics import EndsPath, ends_paths, solve
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.video.statistics import Bends, Statistics, bends, statistics

CLOSED = 1e-3
"""Chord over length below which the ends of a curve count as one point, with no geodesic."""


@final
@dataclass(frozen=True)
class Measured:
    """What is found about a sequence of points on a sphere."""

    starts: Int[Tensor, "2 windows"]  # first and last point of every window
    statistics: Mapping[Variant, Statistics]  # of the clip and every control, by window
    bends: Bends  # of the clip, at its inner points
    log_density: Float[Tensor, " n"]  # of each point less that of the first, in nats
    noise_energy: Float[Tensor, " n"]  # of each point
    paths: tuple[EndsPath, ...]  # geodesic, slerp, lerp between the ends; none if these are one
    solved: tuple[int, int]  # windows whose geodesic converged, and windows in all
    residual: float  # largest residual of those geodesics


def measure_shot(
    run: Run,
    geometry: Geometry,
    sphere: Sphere,
    points: Float[Tensor, "n dim"],
    settings: VideoSettings,
    detail: str = "",
    times: Float[Tensor, " n"] | None = None,
) -> Measured:
    """A sequence of points on a sphere, in the order of time, against geodesics, with controls.

    ``times`` are in mean intervals, even by default; ``detail`` is what messages call the shot.

    Cost: one score evaluation a point; a boundary value problem for every window (about 60 to
    150 and 65 to verify), for the whole, and for the windows of the two controls of speed; and
    window - 2 for each window of slerp, lerp and random paths.
    """
    chosen, n = settings.windows, len(points)
    times = torch.arange(n, dtype=torch.float64) if times is None else times
    size = min(chosen.window, n)
    with run.stage("measure"):
        scores = geometry.scores(points)
        whole = bends(geometry, points, scores, sphere, chosen.half, times)
        parts = _parts(geometry, sphere, points, scores, times, settings)
    own = parts[Variant.CLIP]
    count = own.points.shape[1]
    if not count:
        raise ClipError(
            f"{detail or 'the clip'} ends where it began in every window of {size} frames: there "
            "is no geodesic to hold it against; choose another window, or a range"
        )
    ends = [part.points[[0, -1]] for part in parts.values()]
    closed = bool(_closed(points[:, None]))
    overall = sum(e.shape[1] for e in ends)
    if size == n:  # the only window is the whole
        overall = 0
    elif not closed:
        ends.append(points[[0, -1]][:, None])
    solved = solve(run, geometry, sphere, torch.cat(ends, 1), settings.solve, detail)
    found: dict[Variant, Statistics] = {}
    place = 0
    for variant, part in parts.items():
        here = slice(place, place + part.points.shape[1])
        place = here.stop
        geodesic = solved.points[:, here], solved.length[here]
        how = {"manifold": sphere, "half": chosen.half, "times": part.times}
        found[variant] = statistics(geometry, part.points, part.scores, *geodesic, **how)
    with run.stage("measure"):
        if chosen.controls:
            geodesic = solved.points[:, :count], solved.length[:count]
            found |= _controls(geometry, sphere, own, geodesic, settings)
        paths = () if closed else ends_paths(geometry, sphere, points, solved, overall)
    return Measured(
        starts=own.index[[0, -1]],
        statistics={v: found[v] for v in Variant if v in found},
        bends=whole,
        log_density=log_density(points[:, None], scores[:, None])[:, 0],
        noise_energy=geometry.noise_energy(scores),
        paths=paths,
        solved=(solved.converged, len(solved.length)),
        residual=solved.residual,
    )


def _parts(
    geometry: Geometry,
    sphere: Sphere,
    points: Tensor,
    scores: Tensor,
    times: Tensor,
    settings: VideoSettings,
) -> dict[Variant, Windowed]:
    """The windows of the clip, and of the two controls of speed, that have ends of their own."""
    size = min(settings.windows.window, len(points))
    own = _open(controls.windowed(points, scores, times, size))
    parts = {Variant.CLIP: own}
    if settings.windows.controls and own.points.shape[1]:
        fast = _open(controls.windowed(points, scores, times, size, 2))
        if fast.points.shape[1]:
            parts[Variant.FAST] = fast
        slow, late = controls.slowed(own.points, sphere), controls.slowed_times(own.times)
        parts[Variant.SLOW] = _open(Windowed(own.index, slow, geometry.scores(slow), late))
    return parts


def _closed(points: Tensor) -> Tensor:
    """Whether curves end where they began."""
    chord = torch.linalg.vector_norm(points[-1] - points[0], dim=-1)
    return chord <= CLOSED * arc_length(points)[-1]


def _open(source: Windowed) -> Windowed:
    return source.select((~_closed(source.points)).nonzero()[:, 0])


def _controls(
    geometry: Geometry,
    sphere: Sphere,
    own: Windowed,
    geodesic: tuple[Tensor, Tensor],
    settings: VideoSettings,
) -> dict[Variant, Statistics]:
    """Statistics of the curves between the clip's own ends."""
    start, end = own.points[0], own.points[-1]
    size, seed = len(own.points), settings.solve.seed
    t = torch.linspace(0, 1, size, dtype=torch.float64)
    even = own.times[:1] + t[:, None] * (own.times[-1] - own.times[0])
    measured = partial(statistics, geometry, half=settings.windows.half)

    def between(curve: Tensor, manifold: Manifold) -> Statistics:
        scores = torch.cat([own.scores[:1], geometry.scores(curve[1:-1]), own.scores[-1:]])
        return measured(curve, scores, *geodesic, manifold=manifold, times=even)

    mixed = controls.shuffled(own, seed)
    back, turned = own.times[-1] - own.times.flip(0), (geodesic[0].flip(0), geodesic[1])
    flipped = own.points.flip(0), own.scores.flip(0)
    random = random_paths(start, end, arc_length(own.points)[-1], size, sphere, seed + 1)
    return {
        Variant.REVERSED: measured(*flipped, *turned, manifold=sphere, times=back),
        Variant.SHUFFLED: measured(
            mixed.points, mixed.scores, *geodesic, manifold=sphere, times=mixed.times
        ),
        Variant.RANDOM: between(random, sphere),
        Variant.SLERP: between(GreatArc(start, end)(t), sphere),
        Variant.LERP: between(Line(start, end)(t), Flat()),
    }
