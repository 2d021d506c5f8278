r"""Following a ray of latents frame by frame, and what happens to it.

From the launch the geodesic is followed with the integrators of the initial value problem, in one
piece or, where a remedy acts between frames, in pieces of a frame each. A companion whose velocity
is turned by a small angle is integrated in the same batches: its sideways distance over that in
flat space is the growth factor of small errors along the way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.extrapolation.launch import Launch, piece_of
from diffusion_geodesics.extrapolation.settings import (
    ExtrapolationSettings,
    IntegratorName,
    Remedies,
)
from diffusion_geodesics.ivp import (
    FixedStep,
    IsokineticSplitting,
    LeavesNorms,
    LeavesTypicalSet,
    PublishedRungeKutta,
    Ray,
    RayResult,
    Stop,
    solve_ivp,
)
from diffusion_geodesics.latents.coordinates import Coordinates
from diffusion_geodesics.latents.geometry import Geometry, log_density
from diffusion_geodesics.manifold import Manifold

BETWEEN = 4
"""Points on the ray for each frame at which density and typicality are measured."""
NORMS = 0.1
"""Relative change of the norm at which a ray in flat space has left the typical set."""

_METHODS: Mapping[IntegratorName, Callable[[int], FixedStep]] = {
    IntegratorName.SPLITTING: IsokineticSplitting,
    IntegratorName.PUBLISHED: PublishedRungeKutta,
}

Renew = Callable[[Tensor], Tensor]
"""Directions estimated anew from latents (rows, dim)."""


@final
@dataclass(frozen=True)
class LatentRay:
    """A ray of latents."""

    t: Float[Tensor, " points"]  # curve parameter of every point, in the direction's unit
    latents: Float[Tensor, "points dim"]  # the points
    frames: Int[Tensor, " frames"]  # which of them are frames of the film
    norm: Float[Tensor, " points"]  # |x|
    noise_energy: Float[Tensor, " points"]  # σ‖s‖/√dim
    log_density: Float[Tensor, " points"]
    density_error: float  # difference at the end to what half as many points give
    growth: Float[Tensor, " points"]  # growth factor of small errors, 1 in flat space; NaN at t = 0
    # and, like the error, where the score is random
    arc: Float[Tensor, " points"]  # Euclidean length, in the ray's coordinates
    result: RayResult  # how it ended
    error: float  # of the end point, summed over the pieces; NaN if too short for an estimate
    alpha: float  # α that was used
    halvings: int  # how often it was halved
    corrected: float  # Euclidean distance that corrections moved the latent in all

    @property
    def completed(self) -> bool:
        """Whether it went all the way."""
        return self.result is RayResult.completed


def typical_band(start: float, band: float) -> tuple[float, float]:
    """Lowest and highest typical noise energy: a relative band around that of the start and 1."""
    return (1 - band) * min(start, 1.0), (1 + band) * max(start, 1.0)


def follow(
    geometry: Geometry,
    launch: Launch,
    settings: ExtrapolationSettings,
    *,
    t_max: float | None = None,
    renew: Renew | None = None,
) -> LatentRay:
    """Follow the geodesic of a launch."""
    whole = t_max or settings.ray.t_max or launch.t_max
    found = _Follower(geometry, launch, settings, whole, renew).ray(0)
    for halvings in range(1, settings.remedies.halvings + 1):
        if found.result is not RayResult.left_typical_set:
            break
        weaker = geometry.with_alpha(geometry.alpha * 0.5**halvings)
        found = _Follower(weaker, launch, settings, whole, renew).ray(halvings)
    return found


@dataclass
class _Follower:
    """Follows one ray piece by piece, and keeps its points as they are found."""

    geometry: Geometry
    launch: Launch
    settings: ExtrapolationSettings
    whole: float
    renew: Renew | None
    times: list[float] = field(default_factory=list)
    points: list[Tensor] = field(default_factory=list)
    growth: list[float] = field(default_factory=list)

    def ray(self, halvings: int) -> LatentRay:
        launch, remedies = self.launch, self.settings.remedies
        energy = float(self.geometry.noise_energy(self.geometry.scores(launch.x[None])[0]))
        breaks = _breaks(self.whole, launch.coordinates, self.settings)
        manifold = launch.coordinates.manifold
        first = piece_of(launch.coordinates, 0.0, self.whole)
        y = first.coordinates(torch.zeros(1, dtype=torch.float64), launch.x[None])
        w = manifold.to_tangent(y, launch.velocity[None])
        turned, angle = _turned(manifold, y[0], w[0])
        if self.geometry.repeatable:  # else the companion would meet other noise
            y, w = torch.cat([y, y]), torch.stack([w[0], turned])
        speed = float(w[0].norm())
        self.times, self.points, self.growth = [0.0], [launch.x], [math.nan]
        result, error, corrected = RayResult.completed, 0.0, 0.0
        for number, (start, end) in enumerate(pairwise(breaks), start=1):
            coordinates = piece_of(launch.coordinates, start, end)
            share = self.settings.ray.ray_steps * (end - start) / self.whole
            steps = max(2, math.ceil(share - 1e-9))
            part = self.geometry.piece(start / self.whole, end / self.whole)
            ray = solve_ivp(
                part.search(coordinates),
                y,
                (end - start) * w,
                integrator=_METHODS[self.settings.ray.integrator](steps),
                stops=self._stops(coordinates, energy),
                max_steps=2 * steps,
                growth=False,
                error=steps >= 4 and self.geometry.repeatable,
            )
            error += float(ray.error[0])
            self._sample(ray, coordinates, (start, end), angle * speed)
            y, w = ray.end, ray.end_velocity / (end - start)
            result = ray.results[0]
            if result is not RayResult.completed:
                break
            ones = torch.ones(len(y), dtype=torch.float64)
            x = coordinates.latent(ones, y)
            moved = correct(self.geometry, coordinates, x, launch.x.norm(), remedies)
            if moved is not x:
                corrected += float((moved - x)[0].norm())
                self.points[-1] = moved[0]
                y = coordinates.coordinates(ones, moved)
                w = _at_speed(manifold, y, w, speed)
            again = remedies.reestimate
            if again and self.renew is not None and number % again == 0 and end < self.whole:
                direction = self.renew(coordinates.latent(ones, y))
                w = _at_speed(manifold, y, direction, speed)
        return self._measured(speed, result, error, corrected, halvings)

    def _sample(
        self, ray: Ray, coordinates: Coordinates, piece: tuple[float, float], scale: float
    ) -> None:
        """The wanted points of a piece, with the growth of small errors there."""
        start, end = piece
        intervals = self.settings.ray.frames - 1
        wanted = torch.linspace(0, self.whole, BETWEEN * intervals + 1, dtype=torch.float64)
        gone = float(ray.t[-1, 0])
        stopped = start + gone * (end - start)
        inside = wanted[(wanted > start + 1e-9) & (wanted <= stopped + 1e-9)]
        if ray.results[0] is not RayResult.completed:
            inside = torch.cat([inside, torch.tensor([stopped], dtype=torch.float64)])
        if not len(inside):
            return
        u = ((inside - start) / (end - start)).clamp(0, gone)
        parameter = (u / gone).clamp(0, 1) if gone > 0 else torch.zeros_like(u)
        there, velocity = ray.path(parameter), ray.path(parameter, 1)
        sideways = across(there[:, -1] - there[:, 0], velocity[:, 0]).norm(dim=-1)
        if not self.geometry.repeatable:
            sideways = torch.full_like(sideways, math.nan)
        self.times += inside.tolist()
        self.points += list(coordinates.latent(u, there[:, 0]))
        self.growth += (sideways / (scale * inside.to(sideways))).tolist()

    def _stops(self, coordinates: Coordinates, energy: float) -> list[Stop]:
        """The band around the start's noise energy and 1. Scores of the coordinates are larger than
        those of latents by the scale, here that of the middle of the piece."""
        settings = self.settings
        if not settings.stops:
            return []
        middle = coordinates.scale(torch.tensor(0.5, dtype=torch.float64))
        sigma = self.geometry.level.sigma / float(middle)
        typical = LeavesTypicalSet(sigma, *typical_band(energy, settings.ray.band))
        if not settings.metric.flat or settings.remedies.keep_norm:
            return [typical]
        norm = float(self.launch.x.norm())
        return [typical, LeavesNorms((1 - NORMS) * norm, (1 + NORMS) * norm)]

    def _measured(
        self, speed: float, result: RayResult, error: float, corrected: float, halvings: int
    ) -> LatentRay:
        """Density and typicality at all points, in one batch."""
        t, latents = torch.tensor(self.times, dtype=torch.float64), torch.stack(self.points)
        scores = self.geometry.scores(latents)
        log_p = log_density(latents[:, None], scores[:, None])[:, 0]
        odd = sorted({*range(0, len(t), 2), len(t) - 1})
        coarse = log_density(latents[odd][:, None], scores[odd][:, None])[-1, 0]
        frames = [i for i in range(len(t)) if i % BETWEEN == 0]
        if frames[-1] != len(t) - 1:
            frames.append(len(t) - 1)
        return LatentRay(
            t=t,
            latents=latents,
            frames=torch.tensor(frames),
            norm=torch.linalg.vector_norm(latents, dim=1),
            noise_energy=self.geometry.noise_energy(scores),
            log_density=log_p,
            density_error=float((log_p[-1] - coarse).abs()),
            growth=torch.tensor(self.growth, dtype=torch.float64),
            arc=speed * t,
            result=result,
            error=error,
            alpha=self.geometry.alpha,
            halvings=halvings,
            corrected=corrected,
        )


def correct(
    geometry: Geometry, coordinates: Coordinates, x: Tensor, norm: Tensor, remedies: Remedies
) -> Tensor:
    """Latents after the corrections that act between frames; the same tensor where none does."""
    if remedies.ascent_steps:
        x = ascend(geometry, coordinates, x, remedies.ascent_steps, remedies.ascent_size)
    if remedies.keep_norm:
        x = x * (norm / x.norm(dim=1, keepdim=True))
    return x


def ascend(
    geometry: Geometry, coordinates: Coordinates, x: Tensor, steps: int, size: float
) -> Tensor:
    r"""Latents after steps :math:`x \leftarrow x + c\,\sigma^2 s(x)` towards higher density.

    Only the tangent part of a step is taken; on a shell latents keep their norms.

    Cost: one evaluation a latent and step.
    """
    norm, manifold = x.norm(dim=1, keepdim=True), coordinates.manifold
    for _ in range(steps):
        pull = manifold.to_tangent(x, geometry.scores(x))
        x = x + size * geometry.level.sigma**2 * pull
        if manifold.curvature:
            x = x * (norm / x.norm(dim=1, keepdim=True))
    return x


def _breaks(whole: float, coordinates: Coordinates, settings: ExtrapolationSettings) -> list[float]:
    """Where pieces begin and end: at t = 1, if norms stop changing there, and, if a remedy acts
    there, at every frame."""
    if not settings.remedies.between_frames:
        changes = float(coordinates.slope()) != 0
        return sorted({0.0, min(1.0, whole), whole}) if changes else [0.0, whole]
    return torch.linspace(0, whole, settings.ray.frames, dtype=torch.float64).tolist()


def _turned(manifold: Manifold, y: Tensor, w: Tensor) -> tuple[Tensor, float]:
    """The velocity turned by a small angle in one random direction, always the same."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(len(y), generator=generator, dtype=torch.float64).to(w)
    sideways = across(manifold.to_tangent(y, noise), w)
    angle = torch.finfo(w.dtype).eps ** 0.4
    size = sideways.norm().clamp_min(1e-30)
    return w * math.cos(angle) + w.norm() * math.sin(angle) * sideways / size, angle


def across(vectors: Tensor, along: Tensor) -> Tensor:
    """The part of vectors across others, row by row."""
    square = along.square().sum(-1, keepdim=True).clamp_min(1e-30)
    return vectors - (vectors * along).sum(-1, keepdim=True) / square * along


def _at_speed(manifold: Manifold, y: Tensor, w: Tensor, speed: float) -> Tensor:
    tangent = manifold.to_tangent(y, w)
    return tangent * (speed / tangent.norm(dim=-1, keepdim=True).clamp_min(1e-30))
