"""Every choice of an interpolation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import ClassVar

from pydantic import Field

from diffusion_geodesics.latents.settings import (
    Framing,
    Inversion,
    Metric,
    PlaybackSettings,
    PlayOrder,
    Prompts,
    ScoreKind,
    SettingsGroup,
    Solve,
    SolverName,
    Spacing,
)
from diffusion_geodesics.runtime.settings import JobSettings, Preset, SettingsError

PUBLISHED_NEGATIVE = (
    "double image, unrealistic, artifacts, distortion, ghosting, overlapping outlines, "
    "abrupt change, motion blur, low resolution, little detail"
)
"""A negative prompt to the effect of the authors', in words of our own; any other may be given."""


class PathName(Enum):
    """Which path joins two images."""

    NATURAL = "natural"
    """Warped along correspondences of the images, and bent by the density about that path."""
    GEODESIC = "geodesic"
    """The probability density geodesic."""
    SLERP = "slerp"
    """The great circle between the two latents, norms interpolated."""
    LERP = "lerp"
    """The straight line between the two latents."""
    HLERP = "hlerp"
    """The direction of lerp, with a norm halfway between lerp's and slerp's."""

    @property
    def solved(self) -> bool:
        """Whether a boundary value problem is solved for it."""
        return self in (PathName.NATURAL, PathName.GEODESIC)


class InterpolationMetric(Metric):
    """The metric p^(-2α) that the path bends in."""

    strength: float = Field(default=0.3, ge=0, lt=1e9)
    """Strength α·d, with d the coordinates of a latent; 0 is the path that nothing bends."""


class InterpolationSolve(Solve):
    """The boundary value solver."""

    max_steps: int = Field(default=20, ge=1, le=100_000)
    """Most steps on the finest level; 20 keep a run of 17 frames below 900 network evaluations."""


class Film(SettingsGroup):
    """The frames of the film."""

    title: ClassVar[str] = "Frames"

    frames: int = Field(default=17, ge=2, le=100_000)
    """Number of frames, both ends included."""
    spacing: Spacing = Spacing.PERCEPTUAL
    """What is equal between neighbouring frames."""
    guidance: float = Field(default=1.0, ge=0, le=100)
    """Classifier-free guidance half-way, 1 + (g-1) sin(πt); needs a prompt, 1 is none."""
    order: PlayOrder = PlayOrder.THERE_AND_BACK
    """The order in which the frames are shown."""
    keep_pixels: bool = False
    """Put the original pixels in the place of the frames at the images themselves."""


class InterpolationSettings(JobSettings):
    """Settings of :func:`diffusion_geodesics.interpolate`."""

    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (("alpha", "strength"),)
    presets: ClassVar[Mapping[str, Preset]] = {
        "natural": {},
        "geodesic": {"path": PathName.GEODESIC},
        "slerp": {"path": PathName.SLERP},
        "published": {
            "path": PathName.GEODESIC,
            "level": 0.6,
            "steps": 50,
            "refinements": 0,
            "alpha": 0.002,
            "negative": PUBLISHED_NEGATIVE,
            "score": ScoreKind.PUBLISHED_RANDOM,
            "window": 0.1,
            "solver": SolverName.PUBLISHED,
            "text_check_every": 0,
            "spacing": Spacing.PARAMETER,
            "allow_atypical": True,
        },
    }

    path: PathName = PathName.NATURAL
    """Which path joins the images."""
    compare: bool = True
    """Decode a strip of slerp as well, for the report."""
    allow_atypical: bool = False
    """Keep a path that leaves the typical set of the noised density, instead of refusing it."""
    film: Film = Film()
    prompts: Prompts = Prompts()
    framing: Framing = Framing()
    inversion: Inversion = Inversion()
    metric: InterpolationMetric = InterpolationMetric()
    solve: InterpolationSolve = InterpolationSolve()
    playback: PlaybackSettings = PlaybackSettings()

    def inert(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        score = self.metric.score
        if not score.has_negative and self.film.guidance == 1:
            found["negative"] = (
                f"there is no guidance to push away from it, and the {score.value} score compares "
                "with no other prompt"
            )
        if not self.path.solved:
            solver = ("solver", "tol", "max_steps", "intervals", "starts", "allow_atypical")
            found |= dict.fromkeys(solver, f"{self.path.value} needs no solver")
        return found

    def check(self) -> None:
        conditioned = self.prompts.given or self.prompts.invert_text > 0
        score = self.metric.score
        if score.contrasts and not conditioned and not self.prompts.negative:
            raise SettingsError(
                f"the {score.value} score compares a prompt with the negative one, and both are "
                "empty; give a prompt"
            )
        random = score is ScoreKind.PUBLISHED_RANDOM
        if random and self.solve.solver is SolverName.PRECONDITIONED and self.path.solved:
            raise SettingsError(
                "a random score differs at each call, so that the preconditioned solver cannot "
                "converge; take the published solver, or the published score, which is fixed"
            )
        if self.film.guidance != 1 and not conditioned:
            raise SettingsError(
                f"guidance is {self.film.guidance:g} but there is no prompt to guide towards; give "
                "a prompt, or guidance 1"
            )
