"""One part of a clip, without a cut, against geodesics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.apps.analyze.curves import arc_length, at_arc_length, random_paths
from diffusion_geodesics.apps.analyze.domain import Domain, Familiarity
from diffusion_geodesics.apps.analyze.figures import FRACTIONS, Bends, Figures, bends, figures
from diffusion_geodesics.apps.analyze.ground import Ground, log_density
from diffusion_geodesics.apps.analyze.settings import AnalysisSettings
from diffusion_geodesics.apps.analyze.variants import Variant, Windows, shuffled, slowed, windows
from diffusion_geodesics.apps.events import Event, OnEvent
from diffusion_geodesics.bvp import PreconditionedFlow, Solution, Step, solve_bvp
from diffusion_geodesics.clips import ClipError
from diffusion_geodesics.length import measure
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.path import GreatArc, Line

CLOSED = 1e-3
"""Chord over length below which the ends of a curve count as one point, with no geodesic."""
_SOLVER_BYTES = 256e6


@dataclass(frozen=True)
class Shown:
    """A path between the first and the last frame of a part, for plots and strips.

    Args:
        name: of the path.
        t: curve parameters, shape (time,).
        log_density: log p less that of the first frame, in nats.
        energy: noise energy σ‖s‖/√dim.
        points: dense along it, (fractions, dim), at equal fractions of its length.
        length: in the metric.
    """

    name: str
    t: Float[Tensor, " time"]
    log_density: Float[Tensor, " time"]
    energy: Float[Tensor, " time"]
    points: Float[Tensor, "fractions dim"]
    length: float


@dataclass(frozen=True)
class FilmRow:
    """Some frames of one path: images (frames, 3, height, width) in [0, 1]."""

    name: str
    images: Float[Tensor, "frames 3 height width"]


@dataclass(frozen=True)
class PartAnalysis:
    """What was found about one part of a clip.

    Args:
        clip: name of the clip; number: of the part in it, from 0.
        frames: numbers of its frames in the file.
        times: when they are shown, in seconds.
        ended: why the part ended, in words; empty where the clip did.
        starts: first and last frame of every window, as positions in the part, (2, windows).
        figures: of every variant, by window.
        bends: of the clip, at frames half .. n-1-half.
        log_density: of each frame less that of the first, in nats, along the clip.
        energy: noise energy of each frame.
        norms: norm of each latent, before it is brought to the sphere.
        steps: Euclidean distance of neighbouring frames, (n-1,).
        paths: geodesic, slerp and lerp between the first and the last frame; empty where these
            are one and the same.
        solved: windows whose geodesic converged, and windows in all.
        residual: largest residual of those geodesics.
        familiarity: how well the model knows such frames; domain: what it knows.
        films: frames of clip, geodesic, slerp and lerp.
        radius: of the sphere; sigma, alpha, dim: noise level, α, coordinates of a latent.
        half: frames on either side of the local fits.
    """

    clip: str
    number: int
    frames: Int[Tensor, " n"]
    times: Float[Tensor, " n"]
    ended: str
    starts: Int[Tensor, "2 windows"]
    figures: Mapping[Variant, Figures]
    bends: Bends
    log_density: Float[Tensor, " n"]
    energy: Float[Tensor, " n"]
    norms: Float[Tensor, " n"]
    steps: Float[Tensor, " steps"]
    paths: tuple[Shown, ...]
    solved: tuple[int, int]
    residual: float
    familiarity: Familiarity
    domain: Domain
    films: tuple[FilmRow, ...]
    radius: float
    sigma: float
    alpha: float
    dim: int
    half: int

    @property
    def name(self) -> str:
        """The clip, and which part of it."""
        return f"{self.clip}, part {self.number + 1}" if self.number or self.ended else self.clip

    @property
    def strange(self) -> tuple[str, ...]:
        """Why the model does not know such frames; nothing where it does."""
        return self.domain.strange(self.familiarity)

    @property
    def disagreement(self) -> float | None:
        """Spread of log p(last) - log p(first), in nats, over clip, geodesic, slerp and lerp: the
        error bar of all log densities here, 0 for an exact score."""
        ends = [float(self.log_density[-1]), *(float(p.log_density[-1]) for p in self.paths)]
        return max(ends) - min(ends) if self.paths else None


@dataclass(frozen=True)
class Measured:
    """What `measure_part` finds, before anything is decoded."""

    starts: Int[Tensor, "2 windows"]
    figures: Mapping[Variant, Figures]
    bends: Bends
    log_density: Float[Tensor, " n"]
    energy: Float[Tensor, " n"]
    paths: tuple[Shown, ...]
    solved: tuple[int, int]
    residual: float
    rows: int
    calls: int


@dataclass(frozen=True)
class _Geodesics:
    points: Float[Tensor, "fractions pairs dim"]
    length: Float[Tensor, " pairs"]
    converged: int
    residual: float
    solutions: tuple[Solution, ...]
    rows: int
    calls: int


def measure_part(
    ground: Ground,
    points: Float[Tensor, "n dim"],
    settings: AnalysisSettings,
    on_event: OnEvent,
    detail: str = "",
) -> Measured:
    """A sequence of points on the sphere against geodesics, and its controls.

    Cost: one score evaluation a point; a boundary value problem for every window (about 60 to
    150 and 65 to verify), for the whole, and for the windows of the two controls of speed; and
    window - 2 for each window of slerp, lerp and random paths.
    """
    n, size = len(points), min(settings.window, len(points))
    sphere = ground.sphere
    scores = ground.scores(points)
    rows, calls = n, 1
    whole = bends(ground, points, scores, sphere, settings.half)
    own = _open(windows(points, scores, size))
    parts = {Variant.CLIP: own}
    if settings.controls:
        fast = _open(windows(points, scores, size, 2))
        slow = slowed(own.points, sphere)
        if fast.points.shape[1]:
            parts[Variant.FAST] = fast
        slow_scores = ground.scores(slow)
        rows, calls = rows + slow_scores.shape[:2].numel(), calls + 1
        parts[Variant.SLOW] = _open(Windows(own.index, slow, slow_scores))
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
    solved = _solve(ground, torch.cat(ends, 1), settings, on_event, detail)
    rows, calls = rows + solved.rows, calls + solved.calls
    found: dict[Variant, Figures] = {}
    place = 0
    shared: tuple[Tensor, Tensor] | None = None
    for variant, part in parts.items():
        here = slice(place, place + part.points.shape[1])
        place = here.stop
        geodesic = solved.points[:, here], solved.length[here]
        shared = geodesic if shared is None else shared
        found[variant] = figures(
            ground, part.points, part.scores, *geodesic, manifold=sphere, half=settings.half
        )
    if settings.controls and shared is not None and own.points.shape[1]:
        on_event(Event("measure", 0, 1, detail))
        extra, spent = _controls(ground, own, shared, settings)
        found |= extra
        rows, calls = rows + spent, calls + 3
        on_event(Event("measure", 1, 1, detail))
    paths: tuple[Shown, ...] = ()
    if not closed:
        paths = _paths(ground, points, solved, overall)
        rows, calls = rows + 66, calls + 2
    log_p = log_density(points[:, None], scores[:, None])[:, 0]
    return Measured(
        own.index[[0, -1]],
        {v: found[v] for v in Variant if v in found},
        whole,
        log_p,
        ground.energy(scores),
        paths,
        (solved.converged, len(solved.length)),
        solved.residual,
        rows,
        calls,
    )


def _closed(points: Tensor) -> Tensor:
    """Whether curves end where they began."""
    chord = torch.linalg.vector_norm(points[-1] - points[0], dim=-1)
    return chord <= CLOSED * arc_length(points)[-1]


def _open(source: Windows) -> Windows:
    return source.select((~_closed(source.points)).nonzero()[:, 0])


def _controls(
    ground: Ground, own: Windows, geodesic: tuple[Tensor, Tensor], settings: AnalysisSettings
) -> tuple[dict[Variant, Figures], int]:
    """Figures of the curves between the clip's own ends, and the score evaluations spent."""
    sphere, flat = ground.sphere, ground.flat
    start, end = own.points[0], own.points[-1]
    size = len(own.points)
    t = torch.linspace(0, 1, size, dtype=torch.float64)
    random = random_paths(start, end, arc_length(own.points)[-1], size, sphere, settings.seed + 1)
    mixed = shuffled(own, settings.seed)
    made: dict[Variant, tuple[Tensor, Tensor, Manifold]] = {
        Variant.REVERSED: (own.points.flip(0), own.scores.flip(0), sphere),
        Variant.SHUFFLED: (mixed.points, mixed.scores, sphere),
    }
    ends = own.scores[:1], own.scores[-1:]
    rows = 0
    for variant, curve, manifold in (
        (Variant.RANDOM, random, sphere),
        (Variant.SLERP, GreatArc(start, end)(t), sphere),
        (Variant.LERP, Line(start, end)(t), flat),
    ):
        inner = ground.scores(curve[1:-1])
        rows += inner.shape[:2].numel()
        made[variant] = (curve, torch.cat([ends[0], inner, ends[1]]), manifold)
    backwards = geodesic[0].flip(0), geodesic[1]
    return {
        variant: figures(
            ground,
            points,
            scores,
            *(backwards if variant is Variant.REVERSED else geodesic),
            manifold=manifold,
            half=settings.half,
        )
        for variant, (points, scores, manifold) in made.items()
    }, rows


def _solve(
    ground: Ground,
    ends: Float[Tensor, "2 pairs dim"],
    settings: AnalysisSettings,
    on_event: OnEvent,
    detail: str,
) -> _Geodesics:
    """Geodesics between many pairs, in batches that fit into memory; NaN where none was found."""
    pairs, dim = ends.shape[1:]
    most = max(1, int(_SOLVER_BYTES / (22 * settings.intervals * dim * ends.element_size())))
    batches = math.ceil(pairs / most)
    t = torch.linspace(0, 1, 2 * settings.intervals + 1, dtype=torch.float64)
    fraction = torch.linspace(0, 1, FRACTIONS, dtype=torch.float64).to(ends)
    solutions: list[Solution] = []
    curves: list[Tensor] = []
    for number, piece in enumerate(ends.split(most, 1)):

        def show(step: Step, number: int = number) -> None:
            told = f"residual {float(step.residual.max()):.0e} {detail}"
            on_event(Event("solve", number, batches, told))

        solution = solve_bvp(
            ground.connection(),
            PreconditionedFlow((settings.intervals,)),
            GreatArc(piece[0], piece[1]),
            tol=settings.tol,
            max_steps=settings.max_steps,
            callback=show,
            throw=False,
        )
        good = torch.tensor([r.ok for r in solution.results], device=ends.device)
        even = at_arc_length(solution.path(t), fraction[:, None].expand(-1, piece.shape[1]))
        curves.append(torch.where(good[:, None], even, torch.nan))
        solutions.append(solution)
        on_event(Event("solve", number + 1, batches, detail))
    converged = sum(r.ok for s in solutions for r in s.results)
    length = torch.cat([s.distance for s in solutions])
    points = torch.cat(curves, 1)
    found = torch.isfinite(points[0, :, 0])
    return _Geodesics(
        points,
        torch.where(found, length, torch.nan),
        converged,
        max(float(s.residual.max()) for s in solutions),
        tuple(solutions),
        sum(s.score_evals for s in solutions),
        sum(s.calls for s in solutions),
    )


def _paths(ground: Ground, points: Tensor, solved: _Geodesics, pair: int) -> tuple[Shown, ...]:
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
    shown: list[Shown] = []
    if bool(torch.isfinite(solved.length[pair])):
        shown.append(
            Shown(
                "geodesic",
                profile.t.cpu(),
                profile.log_density[:, place],
                ground.energy(profile.score[:, place]),
                solved.points[:, pair],
                float(solved.length[pair]),
            )
        )
    for name, path, manifold in (
        ("slerp", GreatArc(start, end), ground.sphere),
        ("lerp", Line(start, end), ground.flat),
    ):
        found = measure(ground.connection(manifold), path, intervals=32)
        shown.append(
            Shown(
                name,
                found.t.cpu(),
                found.log_density,
                ground.energy(found.score),
                path(fraction),
                float(found.distance),
            )
        )
    return tuple(shown)
