"""Every choice of an extrapolation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import ClassVar

from pydantic import Field

from diffusion_geodesics.latents.playback import PlaybackSettings
from diffusion_geodesics.latents.settings import (
    BoundarySolve,
    ContrastedPrompt,
    Framing,
    Inversion,
    ScoreChoice,
    ScoreKind,
    SettingsGroup,
)
from diffusion_geodesics.runtime.settings import JobSettings, SettingsError


class IntegratorName(Enum):
    """What follows a ray."""

    SPLITTING = "splitting"
    """Isokinetic splitting: norm and speed hold exactly."""
    PUBLISHED = "published"
    """The paper's: Runge and Kutta's method, norm and speed restored after each step."""


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
    integrator: IntegratorName = IntegratorName.SPLITTING
    """What follows the ray: isokinetic splitting, or the paper's Runge-Kutta method, which takes
    four evaluations a step."""
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


class RayPrompt(ContrastedPrompt):
    """What the image shows, in words, and what it becomes."""

    end_prompt: str | None = None
    """What it shows at the end of the ray: embeddings change evenly on the way. By default what it
    shows at the start."""


class RayMetric(ScoreChoice):
    """The metric p^(-2α) whose geodesic the ray is."""

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

    film_only: bool = False
    """Leave out the straight continuation (strength 0), which is shown beside the ray."""
    ray: RaySettings = RaySettings()
    remedies: Remedies = Remedies()
    prompts: RayPrompt = RayPrompt()
    framing: Framing = Framing()
    inversion: Inversion = Inversion()
    metric: RayMetric = RayMetric()
    solve: BoundarySolve = BoundarySolve()
    playback: PlaybackSettings = PlaybackSettings()

    @property
    def stops(self) -> bool:
        """Whether the ray ends where it leaves the typical set."""
        return self.ray.stop and self.metric.score is ScoreKind.LEVEL

    def inert(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        score = self.metric.score
        if score is not ScoreKind.LEVEL:
            found["stop"] = f"the {score.value} score has no noise energy to stop by"
        if not score.has_negative:
            found["negative"] = f"the {score.value} score compares with no other prompt"
        if self.metric.alpha_for(1) == 0:
            found["halvings"] = "the strength is 0"
        if not self.stops:
            found["halvings"] = "stop is off, so that no ray is ended"
        return found

    def check(self) -> None:
        if self.remedies.keep_norm and not self.metric.flat:
            raise SettingsError(
                "keep_norm is for flat space: the shell keeps norms by itself; add flat, or leave "
                "keep_norm out"
            )
        said = (self.prompts.prompt, self.prompts.negative, self.prompts.end_prompt)
        if self.metric.score.contrasts and not any(said):
            raise SettingsError(
                f"the {self.metric.score.value} score compares a prompt with the negative one, and "
                "both are empty; give a prompt"
            )
