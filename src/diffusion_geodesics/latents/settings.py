"""The groups of settings that jobs share: plain data, without a tensor library. What the names
stand for is in :mod:`diffusion_geodesics.latents.choices`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from diffusion_geodesics.runtime.settings import Marker, SettingsGroup


class FitMode(Enum):
    """How an image of another aspect ratio is brought to the working size."""

    CROP = "crop"
    PAD = "pad"


class SamplerName(Enum):
    """The rule of one sampling step, for inversion and decoding alike."""

    DDIM = "ddim"
    HEUN = "heun"
    LMS = "lms"
    DPM = "dpm++"


class ScoreKind(Enum):
    """Whose density the metric is made of."""

    LEVEL = "level"
    """p(x | prompt) at the noise level; p(x) where no prompt is given."""
    RATIO = "ratio"
    """p(x | prompt) / p(x | negative): two evaluations a point."""
    SDS = "sds"
    """Score distillation over a window of time steps: p(x | prompt), smoothed."""
    NFSD = "nfsd"
    """Noise-free score distillation: p(x)/p(x | negative) (p(x | prompt)/p(x))^7.5."""
    PUBLISHED = "published"
    """The paper's estimate, averaged over a fixed window: half the noise, not divided by σ."""
    PUBLISHED_RANDOM = "published-random"
    """The same at one random time step with fresh noise at each call, as published."""

    @property
    def distilled(self) -> bool:
        """Whether it is averaged over a window of time steps."""
        return self not in (ScoreKind.LEVEL, ScoreKind.RATIO)

    @property
    def contrasts(self) -> bool:
        """Whether it compares the prompt with the negative one, and vanishes where they agree."""
        return self in (ScoreKind.RATIO, ScoreKind.PUBLISHED, ScoreKind.PUBLISHED_RANDOM)

    @property
    def has_negative(self) -> bool:
        """Whether it depends on the negative prompt."""
        return self.contrasts or self is ScoreKind.NFSD


class Blend(Enum):
    """How the prompts' embeddings change along a path."""

    LERP = "lerp"
    SLERP = "slerp"
    FIRST = "first"
    MEAN = "mean"


class SolverName(Enum):
    """What solves the boundary value problem."""

    PRECONDITIONED = "preconditioned"
    PUBLISHED = "published"
    """The paper's algorithm, leaving a level early as its authors' code does."""
    PUBLISHED_FULL = "published-full"
    """The same with all steps on every level."""


class Spacing(Enum):
    """What is equal between neighbouring frames."""

    PERCEPTUAL = "perceptual"
    """The distance of the denoised latents."""
    METRIC = "metric"
    """The length under the metric."""
    PARAMETER = "parameter"
    """The curve parameter."""


@dataclass(frozen=True)
class AsText:
    """Marks a setting that the command line takes as one text, and shows under a name."""

    shown: str


def _parse_size(value: Any) -> Any:
    """``"512"`` as an edge, ``"512x768"`` as (height, width); anything else as it is."""
    if not isinstance(value, str):
        return value
    parts = value.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(p.strip().isdecimal() for p in parts):
        raise ValueError("should be an edge such as 512, or HEIGHTxWIDTH such as 512x768")
    numbers = [int(p) for p in parts]
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


MOST_PIXELS = 4096
"""Largest edge of a working size: at most this many pixels of an image are read."""
Edge = Annotated[int, Field(ge=1, le=MOST_PIXELS)]
Size = Annotated[
    Edge | tuple[Edge, Edge] | None, BeforeValidator(_parse_size), AsText("EDGE|HEIGHTxWIDTH")
]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def comma_separated(value: Any) -> Any:
    """Text as its parts, one value as a tuple; anything else as it is."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(","))
    return (value,) if isinstance(value, int | Enum) else value


class Framing(SettingsGroup):
    """Size and shape of the images."""

    title: ClassVar[str] = "Size"

    size: Size = None
    """Edge of the square whose area is used, or height and width, in pixels; the model's own size
    by default."""
    fit: FitMode = FitMode.CROP
    """How images of another aspect ratio are brought to that size."""
    pad_gray: float = Field(default=1.0, ge=0, le=1)
    """Gray value of the bars that padding adds; 1 is white."""

    def inert(self) -> Mapping[str, str]:
        return {"pad_gray": "images are cropped (fit is crop)"} if self.fit is FitMode.CROP else {}


class Prompts(SettingsGroup):
    """What the images show, in words."""

    title: ClassVar[str] = "Prompts"

    prompt: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """What the images show: one text for all of them, or one each."""
    negative: str = ""
    """What guidance and ratios of densities push away from."""
    blend: Blend = Blend.LERP
    """How the embedding changes along the path from one prompt to another."""
    invert_text: int = Field(default=0, ge=0, le=100_000)
    """Most steps of optimising an embedding for each image, from its prompt's; 0 for none."""
    text_check_every: int = Field(default=15, ge=0, le=100_000)
    """Steps between the checks that end this optimisation early; 0 for none."""
    cache: Annotated[Path | None, Marker.OUTPUT] = None
    """Folder that keeps optimised embeddings."""

    @property
    def given(self) -> bool:
        """Whether any image has a prompt."""
        return any(self.prompt)

    def each(self, count: int) -> tuple[str, ...]:
        """One prompt for each of ``count`` images.

        Raises:
            ValueError: neither none, nor one, nor as many as images.
        """
        if len(self.prompt) in (0, 1):
            return (self.prompt or ("",)) * count
        if len(self.prompt) != count:
            raise ValueError(
                f"got {len(self.prompt)} prompts for {count} images; give one, or one for each"
            )
        return self.prompt

    def of_pair(self, first: str | None, last: str | None) -> dict[str, tuple[str, str]]:
        """What the prompts of two images of their own change; None is the common prompt, or for
        the last image that of the first."""
        if first is None and last is None:
            return {}
        start = self.each(2)[0] if first is None else first
        return {"prompt": (start, start if last is None else last)}

    def inert(self) -> Mapping[str, str]:
        if self.invert_text:
            return {}
        reason = "no embedding is optimised (invert_text is 0)"
        found = {"text_check_every": reason, "cache": reason}
        if len(set(self.prompt)) <= 1:
            found["blend"] = "all images have one prompt"
        return found


class SharedPrompt(SettingsGroup):
    """What all images show, in words."""

    title: ClassVar[str] = "Prompt"

    prompt: str = ""
    """What all images show; empty for no prompt."""

    @property
    def prompts(self) -> Prompts:
        """The same for jobs that take a prompt for each image."""
        return Prompts(prompt=(self.prompt,))


class ContrastedPrompt(SharedPrompt):
    """What all images show, in words, and what densities are compared with."""

    negative: str = ""
    """What ratios of densities compare with."""

    @property
    def prompts(self) -> Prompts:
        """The same for jobs that take a prompt for each image."""
        return Prompts(prompt=(self.prompt,), negative=self.negative)


class Inversion(SettingsGroup):
    """How images are carried to the noise level and back."""

    title: ClassVar[str] = "Noise level"

    level: float = Field(default=0.4, gt=0, le=1)
    """Noise level, as the fraction of the sampling steps that images are inverted."""
    steps: int = Field(default=25, ge=1, le=10_000)
    """Sampling steps from pure noise to a clean latent."""
    refinements: int = Field(default=2, ge=0, le=100)
    """Most further fixed-point iterations at each inversion step, for latents that still move."""
    sampler: SamplerName = SamplerName.DDIM
    """Rule of a step."""
    start_noise: float = Field(default=0.0, ge=0, lt=1e9)
    """Noise-to-signal ratio of noise put on clean latents before they are inverted, for networks
    that find none in clean images; 0 for none."""


class Strength(SettingsGroup):
    """How strongly the density bends geodesics, in the metric p^(-2α)."""

    title: ClassVar[str] = "Metric"

    strength: float = Field(default=1.0, ge=0, lt=1e9)
    """Strength α·d, with d the coordinates of a latent; 0 is the space's own geometry."""
    alpha: float | None = Field(default=None, ge=0, lt=1e9)
    """α itself, instead of the strength."""

    def alpha_for(self, dim: int) -> float:
        """α for latents of ``dim`` coordinates."""
        return self.strength / dim if self.alpha is None else self.alpha


class ScoreChoice(SettingsGroup):
    """Whose score a metric is made of."""

    title: ClassVar[str] = "Metric"

    score: ScoreKind = ScoreKind.LEVEL
    """Whose density: at the level, a ratio to the negative prompt, or distilled over a window."""
    window: float = Field(default=0.1, ge=0, lt=1)
    """Half-width of a distilled score's window, as a fraction of the steps."""
    window_nodes: int = Field(default=3, ge=1, le=1000)
    """Time steps in this window; each costs as much as a score at one level."""

    def inert(self) -> Mapping[str, str]:
        if self.score.distilled:
            return {}
        reason = f"the score is {self.score.value}, which has no window"
        return {"window": reason, "window_nodes": reason}


class Metric(ScoreChoice, Strength):
    """The metric p^(-2α) that geodesics are shortest in."""

    flat: bool = False
    """Flat space instead of the sphere. On the sphere the norms of both ends are interpolated."""


MOTION_WEIGHT = 0.01
"""λ of metamorphoses of images, whose values are in [0, 1]."""
METAMORPHOSIS_EDGE = 32
"""Longest edge, in pixels, of images whose metamorphoses are measured."""

PUBLISHED_SOLVE = ("bisections", "bisection_steps", "learning_rate")
"""Settings of the published solver."""


class BoundarySolve(SettingsGroup):
    """The boundary value solver."""

    title: ClassVar[str] = "Solver"

    solver: SolverName = SolverName.PRECONDITIONED
    """What solves for the geodesic."""
    tol: float = Field(default=1e-3, gt=0, le=1)
    """Relative Euler-Lagrange residual at which it stops."""
    max_steps: int = Field(default=34, ge=1, le=100_000)
    """Most steps on the finest level."""
    intervals: Annotated[
        tuple[Annotated[int, Field(ge=4, le=4096)], ...],
        BeforeValidator(comma_separated),
        Field(min_length=1),
        AsText("N,N,..."),
    ] = (16,)
    """Intervals between the nodes, level by level."""
    bisections: int = Field(default=4, ge=1, le=8)
    """Bisections of the published solver: 4 have 1, 3, 7 and 15 control points."""
    bisection_steps: int = Field(default=100, ge=1, le=100_000)
    """Its gradient steps after each bisection; what one leaves over goes to the next."""
    learning_rate: float = Field(default=0.1, gt=0, lt=1e9)
    """Its rate, divided by the number of control points; it falls linearly to 0 over all steps."""

    def inert(self) -> Mapping[str, str]:
        if self.solver is SolverName.PRECONDITIONED:
            reason = "the preconditioned solver does not bisect"
            return dict.fromkeys(PUBLISHED_SOLVE, reason)
        reason = f"the {self.solver.value} solver has a schedule of its own"
        return {"tol": reason, "max_steps": reason, "intervals": reason}


class Solve(BoundarySolve):
    """The boundary value solver, from one or several initial paths."""

    starts: int = Field(default=1, ge=1, le=1000)
    """Initial paths tried in one batch; the shortest solution is kept."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of the directions of further starts, and of all noise."""
