"""Every choice of an interpolation, with the defaults that the measurements in the docs support."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

from diffusion_geodesics.diffusion import DDIM, LMS, DPMSolver, Heun, Sampler, TextInversion
from diffusion_geodesics.framing import CentreCrop, Fit

PUBLISHED_NEGATIVE = "blurry, ghosting, overlapping edges, distorted, low quality"
"""A negative prompt against blends, for `Settings.published`; any other may be given."""


class Family(Enum):
    """Which path joins the two latents at the noise level."""

    GEODESIC = "geodesic"
    SLERP = "slerp"
    LERP = "lerp"
    HLERP = "hlerp"


class Estimate(Enum):
    """Whose density the geodesic follows."""

    LEVEL = "level"
    """p(x | prompt) at the noise level; p(x) where no prompt is given."""
    RATIO = "ratio"
    """p(x | prompt) / p(x | negative): twice the cost, needs a prompt."""
    SDS = "sds"
    """Score distillation over a window of time steps: p(x | prompt), smoothed."""
    NFSD = "nfsd"
    """Noise-free score distillation: p(x)/p(x | negative) (p(x | prompt)/p(x))^7.5."""
    PUBLISHED = "published"
    """The paper's: half the noise, not divided by σ, of the ratio; over a window."""
    PUBLISHED_RANDOM = "published-random"
    """The same at one random time step with fresh noise at each call, as published."""

    @property
    def distilled(self) -> bool:
        """Whether it is averaged over a window of time steps."""
        return self not in (Estimate.LEVEL, Estimate.RATIO)

    @property
    def contrasts(self) -> bool:
        """Whether it compares the prompt with the negative one, and vanishes where they agree."""
        return self in (Estimate.RATIO, Estimate.PUBLISHED, Estimate.PUBLISHED_RANDOM)


class Blend(Enum):
    """How the prompts' embeddings change along the path."""

    LERP = "lerp"
    SLERP = "slerp"
    FIRST = "first"
    """The first prompt throughout."""
    MEAN = "mean"
    """The mean of both throughout."""


class Method(Enum):
    """The sampler of inversion and decoding."""

    DDIM = "ddim"
    HEUN = "heun"
    LMS = "lms"
    DPM = "dpm++"

    @property
    def sampler(self) -> Sampler:
        """The sampler itself."""
        samplers = {Method.HEUN: Heun(), Method.LMS: LMS(), Method.DPM: DPMSolver()}
        return samplers.get(self, DDIM())


class PathSolver(Enum):
    """What solves for the geodesic."""

    PRECONDITIONED = "preconditioned"
    PUBLISHED = "published"
    """The paper's bisection with plain gradient steps, ending a level early as its code does."""
    PUBLISHED_FULL = "published-full"
    """The same with all its steps, as the paper describes: 2626 evaluations, whatever happens."""


class Pace(Enum):
    """What is equal between neighbouring frames."""

    PERCEPTUAL = "perceptual"
    """The distance of the denoised latents."""
    METRIC = "metric"
    """The length under the metric."""
    PARAMETER = "parameter"
    """The curve parameter: constant Euclidean speed."""


@dataclass(frozen=True)
class Settings:
    """Settings of :func:`diffusion_geodesics.interpolate`.

    Args:
        prompt_a, prompt_b: what the images show; empty for no prompt. ``prompt_b`` defaults to
            ``prompt_a``.
        negative: the prompt that guidance and the ratio estimate push away from.
        frames: number of frames, both ends included, at least 2.
        level: noise level in (0, 1], as the fraction of the ``steps`` sampling steps that the
            latents are inverted.
        steps: sampling steps from pure noise to a clean latent.
        refinements: most extra fixed-point iterations at each inversion step, taken only by
            latents that still move.
        family: the path.
        carried: whether the geodesic bends about the path that follows correspondences between
            the images, found by the network's own features, instead of about the great circle.
            Networks without such features are not carried, and the run says so.
        strength: α · dim, dimension-free strength of the metric; 0 is the carried path itself, or
            slerp (lerp if flat) where nothing is carried.
        alpha: α itself, in place of ``strength``.
        estimate: whose density.
        window: half-width of the window of a distilled estimate, as a fraction of the steps.
        window_nodes: time steps in it; each costs as much as an estimate at one level.
        blend: how the prompts' embeddings change along the path.
        solver: what solves for the geodesic; ``tol``, ``max_steps`` and ``intervals`` are the
            preconditioned one's.
        sampler: the rule of inversion and decoding.
        text_inversion: optimise an embedding for each image, from its prompt's; None is not to.
        cache: folder in which optimised embeddings are kept; None is not to.
        flat: measure in flat space instead of on the sphere. On the sphere the norms of both
            ends are interpolated, so that both stay exact.
        guidance: guidance weight in the middle of the path while decoding: 1 + (g-1) sin(πt).
            Needs a prompt; 1 is none.
        pace: spacing of the frames.
        tol: relative residual at which the solver stops.
        max_steps: steps of the solver on its finest level; 20 keep a whole run of 17 frames with
            the other defaults below 900 rows.
        intervals: the solver's levels.
        starts: initial paths tried in one batch.
        seed: of the random directions of further starts; everything else is deterministic.
        size: edge of the square whose area is used, or (height, width); the model's own by
            default.
        fit: how images of another aspect ratio are brought to that size.
        keep_pixels: put the original pixels at both ends of the film.
        compare: decode nine frames of slerp (or lerp, for slerp itself) for the report as well.
        allow_atypical: return a path that leaves the typical set instead of refusing.

    Raises:
        ValueError: a value out of its range.
    """

    prompt_a: str = ""
    prompt_b: str | None = None
    negative: str = ""
    frames: int = 17
    level: float = 0.4
    steps: int = 25
    refinements: int = 2
    family: Family = Family.GEODESIC
    carried: bool = True
    strength: float = 0.3
    alpha: float | None = None
    estimate: Estimate = Estimate.LEVEL
    window: float = 0.1
    window_nodes: int = 3
    blend: Blend = Blend.LERP
    solver: PathSolver = PathSolver.PRECONDITIONED
    sampler: Method = Method.DDIM
    text_inversion: TextInversion | None = None
    cache: str | None = None
    flat: bool = False
    guidance: float = 1.0
    pace: Pace = Pace.PERCEPTUAL
    tol: float = 1e-3
    max_steps: int = 20
    intervals: tuple[int, ...] = (16,)
    starts: int = 1
    seed: int = 0
    size: int | tuple[int, int] | None = None
    fit: Fit = field(default_factory=CentreCrop)
    keep_pixels: bool = False
    compare: bool = True
    allow_atypical: bool = False

    def __post_init__(self) -> None:
        _demand(self.frames >= 2, "frames", self.frames, "at least 2")
        _demand(0 < self.level <= 1, "level", self.level, "a fraction in (0, 1]")
        _demand(self.steps >= 1, "steps", self.steps, "at least 1")
        _demand(self.refinements >= 0, "refinements", self.refinements, "0 or more")
        _demand(0 <= self.strength < 1e9, "strength", self.strength, "a finite number ≥ 0")
        _demand(
            self.alpha is None or 0 <= self.alpha < 1e9, "alpha", self.alpha, "a finite number ≥ 0"
        )
        _demand(0 <= self.guidance <= 100, "guidance", self.guidance, "0 to 100")
        _demand(self.tol > 0, "tol", self.tol, "a positive number")
        _demand(self.max_steps >= 1, "max_steps", self.max_steps, "at least 1")
        _demand(self.starts >= 1, "starts", self.starts, "at least 1")
        _demand(0 <= self.window < 1, "window", self.window, "a fraction in [0, 1)")
        _demand(self.window_nodes >= 1, "window_nodes", self.window_nodes, "at least 1")
        conditioned = self.prompted or self.text_inversion is not None
        if self.estimate.contrasts and not conditioned and not self.negative:
            raise ValueError(
                f"the {self.estimate.value} estimate compares a prompt with the negative one, and "
                "both are empty; give a prompt"
            )
        if (
            self.estimate is Estimate.PUBLISHED_RANDOM
            and self.solver is PathSolver.PRECONDITIONED
            and self.family is Family.GEODESIC
        ):
            raise ValueError(
                "a random estimate differs at each call, so the preconditioned solver cannot "
                "converge; take the published solver, or the published estimate, which is fixed"
            )
        if self.guidance != 1 and not conditioned:
            raise ValueError(
                f"guidance is {self.guidance:g} but there is no prompt to guide towards; give a "
                "prompt, or guidance 1"
            )

    @staticmethod
    def published(**changes: Any) -> Settings:
        """The settings of the paper's authors, as far as they are known, with ``changes``.

        Noise level 0.6 of 50 DDIM steps; α = 0.002 on ½(ε₋ - ε_c) at one random time step within
        0.1 of the level, with fresh noise at each call; embeddings interpolated linearly;
        bisection to 15 points with 100 gradient steps a level; 17 frames. Their text inversion,
        ``text_inversion=TextInversion.published()``, is left out unless asked for. Two things are
        not theirs: norms are interpolated, so that both ends stay exact, and noise is seeded.
        """
        known = Settings(
            level=0.6,
            steps=50,
            refinements=0,
            alpha=0.002,
            negative=PUBLISHED_NEGATIVE,
            estimate=Estimate.PUBLISHED_RANDOM,
            window=0.1,
            solver=PathSolver.PUBLISHED,
            carried=False,
            sampler=Method.DDIM,
            blend=Blend.LERP,
            pace=Pace.PARAMETER,
            allow_atypical=True,
        )
        return replace(known, **changes)

    @property
    def carries(self) -> bool:
        """Whether correspondences are looked for."""
        return self.carried and self.family is Family.GEODESIC

    @property
    def prompts(self) -> tuple[str, str]:
        """The prompts of both ends."""
        return self.prompt_a, self.prompt_a if self.prompt_b is None else self.prompt_b

    @property
    def prompted(self) -> bool:
        """Whether either end has a prompt."""
        return any(self.prompts)

    def alpha_for(self, dim: int) -> float:
        """α for latents of ``dim`` coordinates."""
        return self.strength / dim if self.alpha is None else self.alpha

    def as_dict(self) -> dict[str, object]:
        """Every setting, ready for JSON."""
        values = asdict(self)
        for name in ("family", "estimate", "pace", "blend", "solver", "sampler"):
            values[name] = values[name].value
        values["prompt_b"] = self.prompts[1]
        values["fit"] = type(self.fit).__name__
        return values


def _demand(fine: bool, name: str, got: object, expected: str) -> None:
    if not fine:
        raise ValueError(f"{name} is {got}; expected {expected}")
