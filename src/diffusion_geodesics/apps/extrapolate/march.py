r"""Marching a ray through latents, frame by frame, and what happens to it.

From the launch the geodesic is followed with the integrators of the initial value problem, in one
piece or, where a remedy acts between frames, in pieces of a frame each. A companion whose velocity
is turned by a small angle rides in the same calls: its sideways distance over that in flat space is
the growth factor of small errors along the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.apps.analyze.ground import log_density
from diffusion_geodesics.apps.chart import Chart
from diffusion_geodesics.apps.extrapolate.settings import Ascent, ExtrapolationSettings
from diffusion_geodesics.apps.extrapolate.terrain import Launch, Terrain, part_of
from diffusion_geodesics.ivp import (
    IsokineticSplitting,
    LeavesNorms,
    LeavesTypicalSet,
    RayResult,
    Stop,
    solve_ivp,
)
from diffusion_geodesics.manifold import Manifold

BETWEEN = 4
"""Points on the ray for each frame at which density and typicality are measured."""
NORMS = 0.1
"""Relative change of the norm at which a ray in flat space has left the typical set."""

Renew = Callable[[Tensor], tuple[Tensor, int]]
"""Directions from latents (rows, dim), and the network rows they took."""


@dataclass(frozen=True)
class March:
    """A ray of latents.

    Args:
        t: curve parameter of every point, in the direction's unit; shape (points,).
        latents: shape (points, dim).
        frames: which of them are frames of the film.
        norm: |x|.
        energy: noise energy σ‖s‖/√dim.
        log_density: log p(x(t)) - log p(x(0)) of the noised density, in nats.
        density_error: difference at the end to what half as many points give.
        growth: growth factor of small errors, 1 in flat space; NaN at t = 0.
        arc: Euclidean length, in chart coordinates.
        result: how it ended.
        error: estimated error of the end point, summed over the pieces; NaN where these are too
            short for an estimate.
        alpha: α that was used; halvings: how often it was halved.
        corrected: Euclidean distance that corrections moved the latent in all.
        rows, calls: cost.
    """

    t: Float[Tensor, " points"]
    latents: Float[Tensor, "points dim"]
    frames: Int[Tensor, " frames"]
    norm: Float[Tensor, " points"]
    energy: Float[Tensor, " points"]
    log_density: Float[Tensor, " points"]
    density_error: float
    growth: Float[Tensor, " points"]
    arc: Float[Tensor, " points"]
    result: RayResult
    error: float
    alpha: float
    halvings: int
    corrected: float
    rows: int
    calls: int

    @property
    def ended(self) -> bool:
        """Whether it went all the way."""
        return self.result is RayResult.completed

    @property
    def left_at(self) -> float | None:
        """Where it was stopped, in t; None if it was not."""
        return None if self.ended else float(self.t[-1])


def march(
    terrain: Terrain,
    launch: Launch,
    settings: ExtrapolationSettings,
    *,
    reach: float | None = None,
    renew: Renew | None = None,
) -> March:
    """Follow the geodesic of a launch.

    Args:
        terrain: the metric.
        launch: start and velocity.
        settings: all choices; its remedies act here.
        reach: how far, in t; the settings' or the launch's by default.
        renew: the direction estimated anew, where the remedies ask for it.

    Cost: at the default settings 160 score evaluations in 80 calls for ray and companion, 40 in 40
    for the error, 32 for the stop, 34 to measure. Pieces shorter than two steps take two.
    """
    found = _once(terrain, launch, settings, reach, renew, 0)
    for halvings in range(1, settings.remedies.halvings + 1):
        if found.result is not RayResult.left_typical_set:
            break
        again = _once(terrain.weakened(halvings), launch, settings, reach, renew, halvings)
        found = replace(again, rows=found.rows + again.rows, calls=found.calls + again.calls)
    return found


def _once(
    terrain: Terrain,
    launch: Launch,
    settings: ExtrapolationSettings,
    reach: float | None,
    renew: Renew | None,
    halvings: int,
) -> March:
    whole = reach or settings.reach or launch.reach
    remedies = settings.remedies
    intervals = settings.frames - 1
    wanted = torch.linspace(0, whole, BETWEEN * intervals + 1, dtype=torch.float64)
    breaks = _breaks(whole, launch.chart, settings)
    first = terrain.scores(launch.x[None])[0]
    start_energy = float(terrain.energy(first))
    rows, calls = 1, 1
    y = part_of(launch.chart, 0.0, whole).coordinates(torch.zeros(1), launch.x[None])
    w = launch.chart.manifold.to_tangent(y, launch.velocity[None])
    turned, angle = _turned(launch.chart.manifold, y[0], w[0])
    y, w = torch.cat([y, y]), torch.stack([w[0], turned])
    speed = float(w[0].norm())
    times, points, gaps = [0.0], [launch.x], [math.nan]
    result, error, corrected = RayResult.completed, 0.0, 0.0
    for number, (start, end) in enumerate(pairwise(breaks), start=1):
        chart = part_of(launch.chart, start, end)
        steps = max(2, math.ceil(settings.ray_steps * (end - start) / whole - 1e-9))
        ray = solve_ivp(
            terrain.connection(chart),
            y,
            (end - start) * w,
            integrator=IsokineticSplitting(steps),
            stops=_stops(terrain, chart, start_energy, float(launch.x.norm()), settings),
            growth=False,
            error=steps >= 4,
        )
        rows, calls = rows + ray.score_evals, calls + ray.calls
        error += float(ray.error[0])
        gone = float(ray.t[-1, 0])
        stopped = start + gone * (end - start)
        inside = wanted[(wanted > start + 1e-9) & (wanted <= stopped + 1e-9)]
        if ray.results[0] is not RayResult.completed:
            inside = torch.cat([inside, torch.tensor([stopped], dtype=torch.float64)])
        if len(inside):
            u = ((inside - start) / (end - start)).clamp(0, gone)
            parameter = (u / gone).clamp(0, 1) if gone > 0 else torch.zeros_like(u)
            y_there, w_there = ray.path(parameter), ray.path(parameter, 1)
            times += inside.tolist()
            points += list(chart.latent(u, y_there[:, 0]))
            sideways = _sideways(y_there[:, 1] - y_there[:, 0], w_there[:, 0])
            gaps += (sideways / (angle * speed * inside.to(sideways))).tolist()
        y, w = ray.end, ray.end_velocity / (end - start)
        result = ray.results[0]
        if result is not RayResult.completed:
            break
        x = chart.latent(torch.ones(2), y)
        moved = x
        if remedies.ascent is not None:
            moved, spent = ascend(terrain, chart, moved, remedies.ascent)
            rows, calls = rows + spent, calls + remedies.ascent.steps
        if remedies.keep_norm:
            moved = moved * (launch.x.norm() / moved.norm(dim=1, keepdim=True))
        if moved is not x:
            corrected += float((moved - x)[0].norm())
            points[-1] = moved[0]
            y = chart.coordinates(torch.ones(2), moved)
            w = _at_speed(chart.manifold, y, w, speed)
        again = remedies.reestimate
        if again and renew is not None and number % again == 0 and end < whole:
            direction, spent = renew(chart.latent(torch.ones(2), y))
            rows, calls = rows + spent, calls + (spent > 0)
            w = _at_speed(chart.manifold, y, direction, speed)
    return _measured(
        terrain,
        torch.tensor(times, dtype=torch.float64),
        torch.stack(points),
        gaps,
        speed,
        _Ending(result, error, halvings, corrected, rows, calls),
    )


@dataclass(frozen=True)
class _Ending:
    result: RayResult
    error: float
    halvings: int
    corrected: float
    rows: int
    calls: int


def _measured(
    terrain: Terrain, t: Tensor, latents: Tensor, gaps: list[float], speed: float, end: _Ending
) -> March:
    """Density and typicality at all points, in one call."""
    scores = terrain.scores(latents)
    log_p = log_density(latents[:, None], scores[:, None])[:, 0]
    odd = sorted({*range(0, len(t), 2), len(t) - 1})
    coarse = log_density(latents[odd][:, None], scores[odd][:, None])[-1, 0]
    frames = [i for i in range(len(t)) if i % BETWEEN == 0]
    if frames[-1] != len(t) - 1:
        frames.append(len(t) - 1)
    return March(
        t=t,
        latents=latents,
        frames=torch.tensor(frames),
        norm=torch.linalg.vector_norm(latents, dim=1),
        energy=terrain.energy(scores),
        log_density=log_p,
        density_error=float((log_p[-1] - coarse).abs()),
        growth=torch.tensor(gaps, dtype=torch.float64),
        arc=speed * t,
        result=end.result,
        error=end.error,
        alpha=terrain.alpha,
        halvings=end.halvings,
        corrected=end.corrected,
        rows=end.rows + len(t),
        calls=end.calls + 1,
    )


def ascend(
    terrain: Terrain, chart: Chart, x: Float[Tensor, "rows dim"], ascent: Ascent
) -> tuple[Float[Tensor, "rows dim"], int]:
    """Latents moved towards higher density; on a shell they keep their norms."""
    norm = x.norm(dim=1, keepdim=True)
    for _ in range(ascent.steps):
        pull = chart.manifold.to_tangent(x, terrain.scores(x))
        x = x + ascent.size * terrain.sigma**2 * pull
        if chart.manifold.curvature:
            x = x * (norm / x.norm(dim=1, keepdim=True))
    return x, ascent.steps * len(x)


def _breaks(whole: float, chart: Chart, settings: ExtrapolationSettings) -> list[float]:
    """Where pieces begin and end: at t = 1, if norms stop changing there, and, if a remedy acts
    there, at every frame."""
    remedies = settings.remedies
    if remedies.ascent is None and not remedies.keep_norm and not remedies.reestimate:
        return sorted({0.0, min(1.0, whole), whole}) if chart.slope() else [0.0, whole]
    return torch.linspace(0, whole, settings.frames, dtype=torch.float64).tolist()


def _stops(
    terrain: Terrain, chart: Chart, energy: float, norm: float, settings: ExtrapolationSettings
) -> list[Stop]:
    """The band around the start's noise energy and 1; scores of the chart are larger than those of
    latents by the scale, here that of the middle of the piece."""
    if not settings.stop:
        return []
    sigma = terrain.sigma / float(chart.scale(torch.tensor(0.5)))
    typical = LeavesTypicalSet(sigma, *terrain.typical(energy, settings.band))
    if not settings.flat or settings.remedies.keep_norm:
        return [typical]
    return [typical, LeavesNorms((1 - NORMS) * norm, (1 + NORMS) * norm)]


def _turned(manifold: Manifold, y: Tensor, w: Tensor) -> tuple[Tensor, float]:
    """The velocity turned by a small angle in one random direction, always the same."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(y), generator=generator, dtype=torch.float64).to(w)
    across = _sideways(manifold.to_tangent(y, noise)[None], w[None], vectors=True)[0]
    angle = torch.finfo(w.dtype).eps ** 0.4
    size = across.norm().clamp_min(1e-30)
    return w * math.cos(angle) + w.norm() * math.sin(angle) * across / size, angle


def _sideways(gap: Tensor, along: Tensor, vectors: bool = False) -> Tensor:
    """The part of vectors across others, or its norm."""
    square = along.square().sum(-1, keepdim=True).clamp_min(1e-30)
    rest = gap - (gap * along).sum(-1, keepdim=True) / square * along
    return rest if vectors else torch.linalg.vector_norm(rest, dim=-1)


def _at_speed(manifold: Manifold, y: Tensor, w: Tensor, speed: float) -> Tensor:
    tangent = manifold.to_tangent(y, w)
    return tangent * (speed / tangent.norm(dim=-1, keepdim=True).clamp_min(1e-30))
