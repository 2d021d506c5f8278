"""What happens to a latent along a path: density, norm, noise energy, length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.latents.coordinates import Coordinates
from diffusion_geodesics.latents.geometry import Geometry
from diffusion_geodesics.length import Profile, chebyshev, interpolate_chebyshev, measure
from diffusion_geodesics.path import GreatArc, Line, Path, Spline

INTERVALS = 32
"""Chebyshev intervals at which a path is measured."""


@final
@dataclass(frozen=True)
class LatentPath:
    """A path of latents, or one for each of several pairs, as y(t) in the coordinates that
    suit it."""

    name: str
    path: Path
    coordinates: Coordinates

    def latent(self, t: Float[Tensor, " time"]) -> Float[Tensor, "time *pairs dim"]:
        """The latents x(t)."""
        return self.coordinates.latent(t, self.path(t))

    def pair(self, pair: int) -> LatentPath:
        """The path of one of several pairs."""
        path = _one_path(self.path, pair)
        return LatentPath(self.name, path, self.coordinates.select(pair))


@final
@dataclass(frozen=True)
class LatentProfile:
    """Quantities along one path of latents at a noise level, at Chebyshev points.

    ``metric`` is the path measured in the metric p^(-2α) of its own coordinates. Only lengths in
    the same coordinates compare; ``comparable`` says whether they are those that geodesics are
    sought in.
    """

    path: LatentPath
    t: Float[Tensor, " time"]  # curve parameters
    log_density: Float[Tensor, " time"]  # log p(x(t)) - log p(x(0)) of the noised density, nats
    norm: Float[Tensor, " time"]  # |x(t)|
    noise_energy: Float[Tensor, " time"]  # σ‖s‖/√dim = ‖ε̂‖/√dim; 1 for the noise of the level
    clean: Float[Tensor, "time dim"]  # the denoiser's estimate of the clean latent
    metric: Profile
    comparable: bool

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def length(self) -> float:
        """Length in the metric and the path's own coordinates, density relative to the start."""
        return float(self.metric.length)

    @property
    def gain(self) -> float:
        """The highest log density along the path above that of the denser end, in nats."""
        return float(self.log_density.max() - self.log_density[[0, -1]].max())

    @property
    def least_energy(self) -> float:
        """The lowest noise energy along the path, relative to the lower one of both ends."""
        return float(self.noise_energy.min() / self.noise_energy[[0, -1]].min())

    def log_density_at(self, t: Float[Tensor, " frames"]) -> Float[Tensor, " frames"]:
        """Log density relative to the start at any curve parameters."""
        return interpolate_chebyshev(self.t, self.log_density, t)


def measure_paths(
    geometry: Geometry,
    reference: Coordinates,
    paths: LatentPath,
    known: Profile | None = None,
    intervals: int = INTERVALS,
) -> tuple[LatentProfile, ...]:
    """Measure one path for each pair.

    ``reference`` are the coordinates that geodesics are sought in. ``known`` is the paths' profile
    in the metric and their own coordinates, if it is known already.

    Cost: ``intervals`` + 1 points a path in one batch, unless ``known`` is given; and as many for
    the density, for the metric of a ratio.
    """
    own = paths.coordinates
    if known is None:
        known = measure(geometry.connection(own), paths.path, intervals=intervals)
    density = known
    if geometry.score is not geometry.level_score:
        density = measure(geometry.flow(own), paths.path, intervals=intervals)
    return tuple(
        replace(found, metric=known.pair(i), comparable=own == reference)
        for i, found in enumerate(_profiles(geometry, paths, density))
    )


def _profiles(geometry: Geometry, paths: LatentPath, density: Profile) -> list[LatentProfile]:
    """Quantities from the score that a profile of the noised density holds. Costs nothing."""
    t, y, level = density.t, density.points, geometry.level
    coordinates = paths.coordinates
    factor = coordinates.scale(t[:, None]).to(y)[..., None]
    score = density.score / factor
    x = coordinates.latent(t, y)
    velocity = coordinates.velocity(t, y, paths.path(t, 1))
    _, integrate = chebyshev(len(t) - 1)
    rate = (score * velocity).sum(-1)
    log_density = torch.tensordot(integrate.to(rate), rate, dims=1)
    norm = torch.linalg.vector_norm(x, dim=-1)
    energy = geometry.noise_energy(score)
    clean = (x + level.sigma**2 * score) / level.a
    along = zip(log_density.T, norm.T, energy.T, clean.unbind(1), strict=True)
    return [
        LatentProfile(paths.pair(i), t, *each, metric=density, comparable=False)
        for i, each in enumerate(along)
    ]


def _one_path(paths: Path, pair: int) -> Path:
    """The path of one pair."""
    match paths:
        case Spline():
            return Spline(paths.nodes[:, pair], paths.manifold)
        case Line():
            return Line(paths.start[pair], paths.end[pair])
        case GreatArc():
            return GreatArc(paths.start[pair], paths.end[pair])
    raise TypeError(f"got a {type(paths).__name__}; expected a Spline, a Line or a GreatArc")
