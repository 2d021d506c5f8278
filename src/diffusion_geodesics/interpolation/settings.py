"""Every choice of an interpolation."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from diffusion_geodesics.latents.playback import PlaybackSettings
from diffusion_geodesics.latents.settings import (
    PUBLISHED_SOLVE,
    AsText,
    Framing,
    Inversion,
    Metric,
    Prompts,
    ScoreKind,
    SettingsGroup,
    Solve,
    SolverName,
    Spacing,
)
from diffusion_geodesics.runtime.paths import expand
from diffusion_geodesics.runtime.settings import JobSettings, Preset, SettingsError

PUBLISHED_NEGATIVE = (
    "double image, unrealistic, artifacts, distortion, ghosting, overlapping outlines, "
    "abrupt change, motion blur, low resolution, little detail"
)
"""A negative prompt to the effect of the authors', in words of our own; any other may be given."""

SOLVER = (
    *("solver", "tol", "max_steps", "intervals", "bend_intervals", "starts", "allow_atypical"),
    *PUBLISHED_SOLVE,
)
"""Settings that matter only where a boundary value problem is solved."""


KEPT_SEGMENTS = "film-segment-5"
"""The kind of finished segments in a cache, with the version of their form."""
EXCESS = 0.1
"""Relative excess of the denoising error from which on the network's sample is shown."""


def _colour(text: str) -> str:
    """A colour's name as it is, if Pillow knows it."""
    from PIL import ImageColor

    if len(ImageColor.getrgb(text)) != 3:
        raise ValueError("should be opaque, such as white or #8040ff")
    return text


MaskFile = Annotated[Path | None, AfterValidator(lambda path: path and expand(path).absolute())]
"""The file of a mask, absolute, so that a run can be repeated from anywhere."""


class PathName(Enum):
    """Which path joins two images."""

    NATURAL = "natural"
    """Warped along correspondences of the images, bent by the density about that path, and sampled
    where the warped images are improbable."""
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
    """Most steps on the finest level; 20 keep a run of 17 frames below 700 network evaluations."""
    bend_intervals: int = Field(default=4, ge=4, le=4096)
    """Intervals between the nodes of the bending of the natural path, in place of those of a
    geodesic."""


class Ease(Enum):
    """How fast a film goes between two keyframes."""

    LINEAR = "linear"
    """At one speed."""
    SMOOTH = "smooth"
    """Slowly at the keyframes, 1.5 times as fast half-way: the path walked is 3s² - 2s³."""


def _fractions(value: Any) -> Any:
    return tuple(value.split(",")) if isinstance(value, str) else value


class Film(SettingsGroup):
    """The frames of the film."""

    title: ClassVar[str] = "Frames"

    loop: bool = False
    """Go on from the last image to the first, so that the film closes."""
    once: bool = False
    """Play the film once, without the way back."""
    there_and_back: bool = False
    """Play the film to its end and back, as is done unless it is a loop or played once."""
    frames: int | None = Field(default=None, ge=2, le=100_000)
    """Number of frames, every keyframe counted once; by default 16 steps from image to image: 17
    frames for two images."""
    frames_each: int | None = Field(default=None, ge=2, le=100_000)
    """Number of frames from each image to the next, both included, instead of the whole."""
    at: Annotated[
        tuple[Annotated[float, Field(ge=0, le=1)], ...] | None,
        BeforeValidator(_fractions),
        AsText("0,F,...,1"),
    ] = None
    """Fraction of the film at which each image is shown, from 0 on; the last at 1 unless it is a
    loop. By default as they come at equal steps."""
    ease: Ease = Ease.LINEAR
    """How fast the film goes between two images."""
    spacing: Spacing = Spacing.PERCEPTUAL
    """What is equal between neighbouring frames."""
    guidance: float = Field(default=1.0, ge=0, le=100)
    """Classifier-free guidance half-way, 1 + (g-1) sin(πt); needs a prompt, 1 is none."""
    excess: float = Field(default=EXCESS, ge=0, lt=1e9)
    """How far the denoising error of the natural path's warped images may rise above that of both
    images, as a fraction of it, until frames show the network's sample alone; 0 for the sample
    everywhere, as with guidance."""
    keep_pixels: bool = False
    """Put the original pixels in the place of the frames at the images themselves."""
    background: Annotated[str, AfterValidator(_colour)] = "white"
    """Colour behind images with an alpha channel, for the model and for films that keep none: a
    name, or #rrggbb."""

    @property
    def colour(self) -> tuple[float, float, float]:
        """Red, green and blue of the background, in [0, 1]."""
        from PIL import ImageColor

        red, green, blue = ImageColor.getrgb(self.background)[:3]
        return red / 255, green / 255, blue / 255

    @property
    def even(self) -> bool:
        """Whether frames are at equal steps over the whole film."""
        return self.at is None and self.frames_each is None and self.ease is Ease.LINEAR


class MaskSettings(SettingsGroup):
    """Which part of the image changes."""

    title: ClassVar[str] = "Mask"

    mask: MaskFile = None
    """Grey image of the size of the first image: white changes, black stays as it is there."""
    mask_b: MaskFile = None
    """The same for the second of two images; what is black then fades from the first image's pixels
    to the second's."""
    feather: int = Field(default=8, ge=0, le=1024)
    """Width of the soft edge inside the white, in pixels of the working size."""

    def inert(self) -> Mapping[str, str]:
        return {"feather": "there is no mask"} if self.mask is None else {}


class InterpolationSettings(JobSettings):
    """Settings of :func:`diffusion_geodesics.interpolate`."""

    exclusive: ClassVar[tuple[tuple[str, str], ...]] = (
        ("alpha", "strength"),
        ("frames", "frames_each"),
        ("at", "frames_each"),
        ("loop", "once"),
        ("loop", "there_and_back"),
        ("once", "there_and_back"),
    )
    presets: ClassVar[Mapping[str, Preset]] = {
        "natural": {},
        "geodesic": {"path": PathName.GEODESIC},
        "slerp": {"path": PathName.SLERP},
        "draft": {
            "frames": 9,
            "steps": 10,
            "refinements": 0,
            "strength": 0.0,
            "film_only": True,
        },
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
    film_only: bool = False
    """Make the film and nothing else: no geodesic of each pair with its distance, no metamorphosis
    distance, and no other paths beside the film's."""
    allow_atypical: bool = False
    """Keep a path that leaves the typical set of the noised density, instead of refusing it."""
    film: Film = Film()
    masks: MaskSettings = MaskSettings()
    prompts: Prompts = Prompts()
    framing: Framing = Framing()
    inversion: Inversion = Inversion()
    metric: InterpolationMetric = InterpolationMetric()
    solve: InterpolationSolve = InterpolationSolve()
    playback: PlaybackSettings = PlaybackSettings()

    @property
    def excess_used(self) -> float:
        """The excess of the mixtures; 0 where frames are the network's samples everywhere."""
        return self.film.excess if self.film.guidance == 1 else 0.0

    def inert(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        if self.path is not PathName.NATURAL:
            found["excess"] = f"{self.path.value} has no warped images to show"
        elif self.film.guidance != 1:
            found["excess"] = "with guidance all frames are samples of the network"
        score = self.metric.score
        if not score.has_negative and self.film.guidance == 1:
            found["negative"] = (
                f"there is no guidance to push away from it, and the {score.value} score compares "
                "with no other prompt"
            )
        if not self.path.solved:
            found |= dict.fromkeys(
                (*SOLVER, "allow_atypical"), f"{self.path.value} needs no solver"
            )
        elif self.path is PathName.GEODESIC:
            found["bend_intervals"] = "a geodesic has the intervals of intervals"
        elif self.metric.alpha_for(1) == 0:
            reason = "nothing bends the path (the strength is 0)"
            found |= dict.fromkeys(SOLVER, reason)
        elif self.solve.solver is SolverName.PRECONDITIONED:
            found["intervals"] = "the bending of the natural path has those of bend_intervals"
        return found

    def check(self) -> None:
        if self.masks.mask_b is not None and self.masks.mask is None:
            raise SettingsError("got mask_b without mask; give both, or the first only")
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
