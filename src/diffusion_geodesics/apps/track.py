"""What happens to a latent along a path: density, norm, noise energy, denoised estimate."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.chart import Chart
from diffusion_geodesics.length import Profile, chebyshev, interpolate_chebyshev
from diffusion_geodesics.path import Path


@dataclass(frozen=True)
class Track:
    """Quantities along one path of latents at a noise level, at Chebyshev points.

    Args:
        name: of the path.
        t: curve parameters, shape (time,).
        log_density: log p(x(t)) - log p(x(0)) of the noised density, in nats.
        norm: |x(t)|.
        noise_energy: σ‖s‖/√dim = ‖ε̂‖/√dim; about 1 in the typical set.
        clean: the denoiser's estimate of the clean latent, shape (time, dim).
        length: length under the metric, relative to the start.
    """

    name: str
    t: Float[Tensor, " time"]
    log_density: Float[Tensor, " time"]
    norm: Float[Tensor, " time"]
    noise_energy: Float[Tensor, " time"]
    clean: Float[Tensor, "time dim"]
    length: float

    def log_density_at(self, t: Float[Tensor, " frames"]) -> Float[Tensor, " frames"]:
        """Log density relative to the start at any curve parameters."""
        return interpolate_chebyshev(self.t, self.log_density, t)

    @property
    def gain(self) -> float:
        """The highest log density along the path above that of the denser end, in nats."""
        return float(self.log_density.max() - self.log_density[[0, -1]].max())

    @property
    def least_energy(self) -> float:
        """The lowest noise energy along the path, relative to the lower one of both ends."""
        return float(self.noise_energy.min() / self.noise_energy[[0, -1]].min())


def track(
    name: str,
    chart: Chart,
    path: Path,
    profile: Profile,
    level: tuple[float, float],
) -> Track:
    """Quantities along a path in chart coordinates, from the score that its profile holds.

    Args:
        name: of the path.
        chart: its coordinates.
        path: the path y(t), shape (time, dim).
        profile: measured with the score of the noised density (not of a ratio).
        level: (a, σ) of the noise level, x = a x0 + σ ε.

    Costs no score evaluation.
    """
    t, y = profile.t, profile.points
    score = profile.score / chart.scale(t)[:, None]
    x = chart.latent(t, y)
    velocity = chart.velocity(t, y, path(t, 1))
    _, integrate = chebyshev(len(t) - 1)
    rate = (score * velocity).sum(-1)
    a, sigma = level
    return Track(
        name=name,
        t=t,
        log_density=integrate.to(rate) @ rate,
        norm=torch.linalg.vector_norm(x, dim=-1),
        noise_energy=sigma * torch.linalg.vector_norm(score, dim=-1) / x.shape[-1] ** 0.5,
        clean=(x + sigma**2 * score) / a,
        length=float(profile.length),
    )
