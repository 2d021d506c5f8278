"""One shot of a clip, a sequence of frames without a cut, held against geodesics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.bvp import BoundaryProblem, Solution, Step, solve_bvp
from diffusion_geodesics.clips import ClipError
from diffusion_geodesics.latents.choices import solver_of
from diffusion_geodesics.latents.coordinates import Ambient
from diffusion_geodesics.latents.geometry import Geometry
from diffusion_geodesics.latents.memory import SOLVER_COPIES
from diffusion_geodesics.latents.polygon import log_density
from diffusion_geodesics.length import measure
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.path import GreatArc, Line
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.video.controls import (
    Variant,
    Windowed,
    shuffled,
    slowed,
    slowed_times,
    windowed,
)
from diffusion_geodesics.video.curves import arc_length, at_arc_length, random_paths
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.video.statistics import (
    FRACTIONS,
    Bends,
    Statistics,
    bends,
    statistics,
)

CLOSED = 1e-3
"""Chord over length below which the ends of a curve count as one point, with no geodesic."""
_SOLVER_BYTES = 256e6


@final
@dataclass(frozen=True)
class EndsPath:
    """A path between the first and the last frame of a shot, for plots and strips."""

    name: str
    t: Float[Tensor, " time"]  # curve parameters, shape (time,)
    log_density: Float[Tensor, " time"]  # log p less that of the first frame, in nats
    noise_energy: Float[Tensor, " time"]  # σ‖s‖/√dim
    points: Float[Tensor, "fractions dim"]  # dense along it, at equal fractions of its length
    length: float  # in the metric


@final
@dataclass(frozen=True)
class Measured:
    """What is found about a sequence of points on a sphere."""

    starts: Int[Tensor, "2 windows"]  # first and last point of every window
    statistics: Mapping[Variant, Statistics]  # of the clip and every control, by window
    bends: Bends  # of the clip, at its inner points
    # of each point less that of the first, in nats, along the clip
    log_density: Float[Tensor, " n"]
    noise_energy: Float[Tensor, " n"]  # of each point
    # geodesic, slerp and lerp between the first and the last point; empty where these are one and
    # the same
    paths: tuple[EndsPath, ...]
    solved: tuple[int, int]  # windows whose geodesic converged, and windows in all
    residual: float  # largest residual of those geodesics


@dataclass(frozen=True)
class _Geodesics:
    points: Float[Tensor, "fractions pairs dim"]
    length: Float[Tensor, " pairs"]
    converged: int
    residual: float
    solutions: tuple[Solution, ...]


def measure_shot(
    run: Run,
    geometry: Geometry,
    sphere: Sphere,
    points: Float[Tensor, "n dim"],
    settings: VideoSettings,
    detail: str = "",
    times: Float[Tensor, " n"] | None = None,
) -> Measured:
    """A sequence of points on a sphere against geodesics, with its controls."""
    chosen, n = settings.windows, len(points)
    times = torch.arange(n, dtype=torch.float64) if times is None else times
    size = min(chosen.window, n)
    with run.stage("measure"):
        scores = geometry.scores(points)
        whole = bends(geometry, points, scores, sphere, chosen.half, times)
        parts = _parts(geometry, sphere, points, scores, times, settings)
    own = parts[Variant.CLIP]
    if not own.points.shape[1]:
        raise ClipError(
            f"{detail or 'the clip'} ends where it began in every window of {size} frames: there "
            "is no geodesic to hold it against; choose another window, or a range"
        )
    ends = [torch.stack([w.points[0], w.points[-1]]) for w in parts.values()]
    closed = bool(_closed(points[:, None]))
    overall = sum(e.shape[1] for e in ends)
    if size == n:  # the only window is the whole
        overall = 0
    elif not closed:
        ends.append(points[[0, -1]][:, None])
    solved = _solve(run, geometry, sphere, torch.cat(ends, 1), settings, detail)
    found: dict[Variant, Statistics] = {}
    place = 0
    for variant, part in parts.items():
        here = slice(place, place + part.points.shape[1])
        place = here.stop
        found[variant] = statistics(
            geometry,
            part.points,
            part.scores,
            solved.points[:, here],
            solved.length[here],
            manifold=sphere,
            half=chosen.half,
            times=part.times,
        )
    with run.stage("measure"):
        if chosen.controls:
            first = slice(0, own.points.shape[1])
            geodesic = solved.points[:, first], solved.length[first]
            found |= _controls(geometry, sphere, own, geodesic, settings)
        paths = () if closed else _paths(geometry, sphere, points, solved, overall)
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
    own = _open(windowed(points, scores, times, size))
    parts = {Variant.CLIP: own}
    if settings.windows.controls and own.points.shape[1]:
        fast = _open(windowed(points, scores, times, size, 2))
        slow = slowed(own.points, sphere)
        if fast.points.shape[1]:
            parts[Variant.FAST] = fast
        parts[Variant.SLOW] = _open(
            Windowed(own.index, slow, geometry.scores(slow), slowed_times(own.times))
        )
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
    random = random_paths(start, end, arc_length(own.points)[-1], size, sphere, seed + 1)
    mixed = shuffled(own, seed)
    backwards = own.times[-1] - own.times.flip(0)
    even = own.times[:1] + t[:, None] * (own.times[-1] - own.times[0])
    made: dict[Variant, tuple[Tensor, Tensor, Manifold, Tensor]] = {
        Variant.REVERSED: (own.points.flip(0), own.scores.flip(0), sphere, backwards),
        Variant.SHUFFLED: (mixed.points, mixed.scores, sphere, mixed.times),
    }
    ends = own.scores[:1], own.scores[-1:]
    for variant, curve, manifold in (
        (Variant.RANDOM, random, sphere),
        (Variant.SLERP, GreatArc(start, end)(t), sphere),
        (Variant.LERP, Line(start, end)(t), Flat()),
    ):
        inner = geometry.scores(curve[1:-1])
        made[variant] = (curve, torch.cat([ends[0], inner, ends[1]]), manifold, even)
    turned = geodesic[0].flip(0), geodesic[1]
    return {
        variant: statistics(
            geometry,
            points,
            scores,
            *(turned if variant is Variant.REVERSED else geodesic),
            manifold=manifold,
            half=settings.windows.half,
            times=times,
        )
        for variant, (points, scores, manifold, times) in made.items()
    }


def _solve(
    run: Run,
    geometry: Geometry,
    sphere: Sphere,
    ends: Float[Tensor, "2 pairs dim"],
    settings: VideoSettings,
    detail: str,
) -> _Geodesics:
    """Geodesics between many pairs, in batches that fit into memory; NaN where none was found."""
    pairs, dim = ends.shape[1:]
    solve = settings.solve
    finest = solve.intervals[-1]
    most = max(1, int(_SOLVER_BYTES / (SOLVER_COPIES * finest * dim * ends.element_size())))
    t = torch.linspace(0, 1, 2 * finest + 1, dtype=torch.float64)
    fraction = torch.linspace(0, 1, FRACTIONS, dtype=torch.float64).to(ends)
    connection = geometry.connection(Ambient(sphere))
    solutions: list[Solution] = []
    curves: list[Tensor] = []
    with run.stage("solve", total=math.ceil(pairs / most)) as stage:
        for number, piece in enumerate(ends.split(most, 1)):

            def show(step: Step, number: int = number) -> None:
                stage(number, detail=detail, residual=float(step.residual.max()))

            solution = solve_bvp(
                BoundaryProblem(connection, GreatArc(piece[0], piece[1])),
                solver_of(solve),
                tol=solve.tol,
                max_steps=solve.max_steps,
                callback=show,
            )
            good = torch.tensor([r.ok for r in solution.results], device=ends.device)
            even = at_arc_length(solution.path(t), fraction[:, None].expand(-1, piece.shape[1]))
            curves.append(torch.where(good[:, None], even, torch.nan))
            solutions.append(solution)
            stage(number + 1, detail=detail)
    points = torch.cat(curves, 1)
    length = torch.cat([s.distance for s in solutions])
    return _Geodesics(
        points,
        torch.where(torch.isfinite(points[0, :, 0]), length, torch.nan),
        sum(r.ok for s in solutions for r in s.results),
        max(float(s.residual.max()) for s in solutions),
        tuple(solutions),
    )


def _paths(
    geometry: Geometry, sphere: Sphere, points: Tensor, solved: _Geodesics, pair: int
) -> tuple[EndsPath, ...]:
    """Geodesic (one of those solved), slerp and lerp between the first and the last point.
    Cost: 33 score evaluations for each of the latter two."""
    start, end = points[0], points[-1]
    place = pair
    profile = solved.solutions[0].profile
    for solution in solved.solutions:
        profile = solution.profile
        if place < len(solution.results):
            break
        place -= len(solution.results)
    fraction = torch.linspace(0, 1, FRACTIONS, dtype=torch.float64)
    shown: list[EndsPath] = []
    if bool(torch.isfinite(solved.length[pair])):
        shown.append(
            EndsPath(
                "geodesic",
                profile.t.cpu(),
                profile.log_density[:, place],
                geometry.noise_energy(profile.score[:, place]),
                solved.points[:, pair],
                float(solved.length[pair]),
            )
        )
    for name, path, manifold in (
        ("slerp", GreatArc(start, end), sphere),
        ("lerp", Line(start, end), Flat()),
    ):
        found = measure(geometry.connection(Ambient(manifold)), path, intervals=32)
        shown.append(
            EndsPath(
                name,
                found.t.cpu(),
                found.log_density,
                geometry.noise_energy(found.score),
                path(fraction),
                float(found.distance),
            )
        )
    return tuple(shown)
