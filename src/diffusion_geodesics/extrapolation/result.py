"""The result of an extrapolation: plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.extrapolation.launch import Launch
from diffusion_geodesics.extrapolation.ray import LatentRay, typical_band
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.models.info import ModelInfo
from diffusion_geodesics.runtime.cost import CostBreakdown
from diffusion_geodesics.runtime.diagnostic import Diagnostic


@final
@dataclass(frozen=True)
class Arrival:
    r"""How near a ray comes to the image that it was launched at."""

    miss: float  # |x(1) - target|, Euclidean
    chord: float  # |target - x(0)|
    allowed: float  # g (ℓ (δ + r α ℓ max|s|) + e), with g ≥ 1 the growth factor, ℓ the arc, δ the
    # velocity's relative error, r the residual of the boundary solution, e the integrator's error


def arrival(ray: LatentRay, launch: Launch, sigma: float) -> Arrival | None:
    """The arrival at t = 1; None without a target, or where the ray did not get there, was
    corrected, or followed no boundary solution. Costs nothing."""
    target, solution = launch.target, launch.solution
    near = (ray.t - 1).abs()
    here = int(near.argmin())
    if target is None or solution is None or float(near[here]) > 1e-6 or ray.corrected > 0:
        return None
    arc = float(ray.arc[here])
    most = float(ray.noise_energy[: here + 1].max()) * target.numel() ** 0.5 / sigma
    bend = float(solution.residual) * ray.alpha * arc * most
    slack = arc * (launch.velocity_error + bend) + ray.error
    return Arrival(
        miss=float((ray.latents[here] - target).norm()),
        chord=float((target - launch.x).norm()),
        allowed=float(ray.growth[here].clamp(min=1)) * slack,
    )


@final
@dataclass(frozen=True, eq=False)
class ExtrapolationResult:
    """A film that goes on from an image, with everything that is known about it."""

    settings: ExtrapolationSettings  # every choice
    model: ModelInfo  # that made it
    direction: str  # where to, in words
    direction_settings: Mapping[str, object]  # the same for a settings file
    source: str  # the file or folder of the start; empty where it came from none
    pictures: Pictures  # the images it started from
    frames: Float[Tensor, "frames 3 height width"]  # the first is the start, reproduced
    straight_frames: Float[Tensor, "straight 3 height width"] | None
    ray: LatentRay
    straight_ray: LatentRay | None  # the straight continuation
    launch: Launch  # its start and velocity
    arrival: Arrival | None  # how near it comes to its target, if it was launched at one
    codec_psnr: float  # of the start through the autoencoder alone, in dB
    sigma: float  # σ of the level
    costs: CostBreakdown  # by stage
    warnings: tuple[Diagnostic, ...] = ()  # what must be known before the figures are believed

    @property
    def dim(self) -> int:
        """Coordinates of a latent."""
        return len(self.launch.x)

    @property
    def t_asked(self) -> float:
        """How far the ray was to go."""
        return self.settings.ray.t_max or self.launch.t_max

    @property
    def times(self) -> Float[Tensor, " frames"]:
        """Curve parameter of each frame, in the direction's unit."""
        return self.ray.t[self.ray.frames]

    @property
    def log_density(self) -> Float[Tensor, " frames"]:
        """log p at each frame relative to the first, in nats, at the noise level."""
        return self.ray.log_density[self.ray.frames]

    @property
    def growth(self) -> Float[Tensor, " frames"]:
        """Growth factor of small errors at each frame; 1 at the first. NaN where the score is
        random."""
        found = self.ray.growth[self.ray.frames].clone()
        found[0] = 1.0
        return found

    @property
    def final_growth(self) -> str:
        """The growth factor at the last frame, in words where it is not known."""
        last = float(self.growth[-1])
        return "not known" if math.isnan(last) else f"{last:.3g}"

    @property
    def typical(self) -> tuple[float, float]:
        """Noise energies regarded as typical."""
        return typical_band(float(self.ray.noise_energy[0]), self.settings.ray.band)

    @property
    def applied(self) -> tuple[str, ...]:
        """The remedies that were applied, in words."""
        remedies, ray = self.settings.remedies, self.ray
        found: list[str] = []
        if ray.halvings:
            found.append(
                f"strength halved {ray.halvings} times, to {ray.alpha * self.dim:.3g}, because the "
                "ray left the typical set"
            )
        if remedies.keep_norm:
            found.append("norm of the start restored after each frame")
        if remedies.reestimate:
            found.append(f"direction estimated anew every {remedies.reestimate} frames")
        if remedies.ascent_steps:
            found.append(
                f"after each frame {remedies.ascent_steps} steps of {remedies.ascent_size:g} σ²s "
                "towards higher density"
            )
        if ray.corrected:
            found.append(f"corrections moved the latent by {ray.corrected:.3g} in all")
        return tuple(found)
