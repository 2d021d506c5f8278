"""Every choice of an extrapolation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from diffusion_geodesics.latents.playback import PlaybackSettings
from diffusion_geodesics.latents.settings import (
    BoundarySolve,
    Framing,
    Inversion,
    SettingsGroup,
    SharedPrompt,
)
from diffusion_geodesics.runtime.settings import JobSettings, SettingsError


class RaySettings(SettingsGroup):
    """How a ray is followed."""

    title: ClassVar[str] = "Ray"

    frames: int = Field(default=9, ge=2, le=100_000)
    """Frames of the film, the start included."""
    t_max: float | None = Field(default=None, gt=0, lt=1e9)
    """How far to go, in the direction's own unit: the way to the second image, the way between
    both, the start's norm (a radian on the shell), the given vector, or one frame of the clip. By
    default what the direction says."""
    ray_steps: int = Field(default=16, ge=2, le=100_000)
    """Steps of the integrator for the whole ray, five score evaluations each."""
    stop: bool = True
    """End the film where the ray leaves the typical set; else go on and warn."""
    band: float = Field(default=0.25, gt=0, lt=1)
    """Relative half-width of the typical band of noise energy, around that of the start and 1."""


class Remedies(SettingsGroup):
    """What may be done about a ray that leaves high density; nothing by default."""

    title: ClassVar[str] = "Remedies"

    halvings: int = Field(default=0, ge=0, le=20)
    """How often the strength may be halved, and the ray begun anew, where it leaves the typical
    set."""
    keep_norm: bool = False
    """Restore the norm of the start after each frame, in flat space."""
    reestimate: int = Field(default=0, ge=0, le=100_000)
    """Frames after which the direction is estimated anew; 0 for never."""
    ascent_steps: int = Field(default=0, ge=0, le=1000)
    """Steps x += c σ² s(x) towards higher density after each frame; 0 for none."""
    ascent_size: float = Field(default=0.02, gt=0, le=1)
    """Their size c; 1 would take away all the noise that the model sees."""

    def inert(self) -> Mapping[str, str]:
        return {} if self.ascent_steps else {"ascent_size": "ascent_steps is 0"}

    @property
    def between_frames(self) -> bool:
        """Whether anything is done between frames."""
        return self.ascent_steps > 0 or self.keep_norm or self.reestimate > 0


class RayMetric(SettingsGroup):
    """The metric p^(-2α) whose geodesic the ray is."""

    title: ClassVar[str] = "Metric"

    strength: float | None = Field(default=None, ge=0, lt=1e9)
    """Strength α·d; 0 goes straight on. By default 0 after a clip, where that is nearest to the
    truth, and 1 otherwise."""
    alpha: float | None = Field(default=None, ge=0, lt=1e9)
    """α itself, instead of the strength."""
    flat: bool = False
    """Follow the ray in flat space, where norms grow, instead of on the shell."""

    def alpha_for(self, dim: int) -> float:
        """α for latents of ``dim`` coordinates."""
        strength = 1.0 if self.strength is None else self.strength
        return strength / dim if self.alpha is None else self.alpha


class ExtrapolationSettings(JobSettings):
    """Settings of :func:`diffusion_geodesics.extrapolate`."""

    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (("alpha", "strength"),)

    compare: bool = True
    """Decode the straight continuation (strength 0) as well."""
    ray: RaySettings = RaySettings()
    remedies: Remedies = Remedies()
    prompts: SharedPrompt = SharedPrompt()
    framing: Framing = Framing()
    inversion: Inversion = Inversion()
    metric: RayMetric = RayMetric()
    solve: BoundarySolve = BoundarySolve()
    playback: PlaybackSettings = PlaybackSettings()

    def inert(self) -> Mapping[str, str]:
        if not self.ray.stop:
            return {"halvings": "stop is off, so that no ray is ended"}
        if self.metric.alpha_for(1) == 0:
            return {"halvings": "the strength is 0"}
        return {}

    def check(self) -> None:
        if self.remedies.keep_norm and not self.metric.flat:
            raise SettingsError(
                "keep_norm is for flat space: the shell keeps norms by itself; add flat, or leave "
                "keep_norm out"
            )
