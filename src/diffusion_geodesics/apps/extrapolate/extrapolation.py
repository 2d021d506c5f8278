"""The result of an extrapolation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.extrapolate.directions import Direction
from diffusion_geodesics.apps.extrapolate.march import March
from diffusion_geodesics.apps.extrapolate.scene import Pictures
from diffusion_geodesics.apps.extrapolate.settings import ExtrapolationSettings
from diffusion_geodesics.apps.extrapolate.terrain import Launch, Terrain
from diffusion_geodesics.diffusion import Ledger
from diffusion_geodesics.report import Video, Written


@dataclass(frozen=True)
class Arrival:
    r"""How near a ray comes to the image that it was launched at.

    Args:
        miss: |x(1) - target|, Euclidean.
        chord: |target - x(0)|.
        allowed: what the growth factor g ≥ 1 allows: g (ℓ (doubt + r α ℓ max|s|) + e), with ℓ the
            arc, doubt the velocity's relative error, r the residual of the boundary solution (its
            share of the force α|s| that bends the path) and e the integrator's error. NaN where
            that was not estimated.
    """

    miss: float
    chord: float
    allowed: float


def arrival(march: March, launch: Launch, terrain: Terrain) -> Arrival | None:
    """The arrival at t = 1; None without a target, or where the ray did not get there, was
    corrected, or followed no boundary solution. Costs nothing."""
    target, solution = launch.target, launch.solution
    near = (march.t - 1).abs()
    here = int(near.argmin())
    if target is None or solution is None or float(near[here]) > 1e-6 or march.corrected > 0:
        return None
    arc = float(march.arc[here])
    most = float(march.energy[: here + 1].max()) * target.numel() ** 0.5 / terrain.sigma
    bend = float(solution.residual) * march.alpha * arc * most
    slack = arc * (launch.doubt + bend) + march.error
    return Arrival(
        miss=float((march.latents[here] - target).norm()),
        chord=float((target - launch.x).norm()),
        allowed=float(march.growth[here].clamp(min=1)) * slack,
    )


@dataclass(frozen=True)
class Extrapolation:
    """A film that goes on from an image, with everything that is known about it.

    Args:
        model_id, model_hash: the model, and the SHA-256 of its weights.
        settings: every choice; direction: where to.
        pictures: the images it started from.
        frames: the film; the first is the start as the model reproduces it.
        straight: the same of the straight continuation, where there is a frame for each.
        march: the ray; straight_march: that of the straight continuation.
        launch: its start and velocity.
        arrival: how near it comes to its target, if it was launched at one.
        codec_psnr: of the start through the autoencoder alone, in dB.
        dim: coordinates of a latent; sigma: σ of the level.
        ledger: cost by stage.
        device, dtype: of the networks.
    """

    model_id: str
    model_hash: str
    settings: ExtrapolationSettings
    direction: Direction
    pictures: Pictures
    frames: Float[Tensor, "frames 3 height width"]
    straight: Float[Tensor, "straight 3 height width"] | None
    march: March
    straight_march: March | None
    launch: Launch
    arrival: Arrival | None
    codec_psnr: float
    dim: int
    sigma: float
    ledger: Ledger
    device: str
    dtype: str

    @property
    def times(self) -> Float[Tensor, " frames"]:
        """Curve parameter of each frame, in the direction's unit."""
        return self.march.t[self.march.frames]

    @property
    def log_density(self) -> Float[Tensor, " frames"]:
        """log p at each frame relative to the first, in nats, at the noise level."""
        return self.march.log_density[self.march.frames]

    @property
    def growth(self) -> Float[Tensor, " frames"]:
        """Growth factor of small errors at each frame; 1 at the first."""
        return torch.nan_to_num(self.march.growth[self.march.frames], nan=1.0)

    @property
    def applied(self) -> tuple[str, ...]:
        """The remedies that were applied, in words."""
        from diffusion_geodesics.apps.extrapolate.telling import applied

        return applied(self)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must be known before the figures are believed, in plain words."""
        from diffusion_geodesics.apps.extrapolate.telling import warnings_of

        return warnings_of(self)

    def save(
        self, folder: str | Path, *, overwrite: bool = False, video: Video | None = None
    ) -> Written:
        """Write the output folder: result.json, path.safetensors, frames, strip, video, report.

        Raises:
            FileExistsError: the folder exists, and is not one of ours to overwrite.
        """
        from diffusion_geodesics.apps.extrapolate.telling import ray_report
        from diffusion_geodesics.report.rays import write_ray

        return write_ray(folder, ray_report(self, video), overwrite=overwrite)
