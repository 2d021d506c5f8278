"""Every choice of an interpolation, with the defaults that the measurements in the docs support."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum

from diffusion_geodesics.framing import CentreCrop, Fit


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
        level: noise level in (0, 1], as the fraction of the ``steps`` DDIM steps that the
            latents are inverted.
        steps: DDIM steps from pure noise to a clean latent.
        refinements: most extra fixed-point iterations at each inversion step, taken only by
            latents that still move.
        family: the path.
        strength: α · dim, dimension-free strength of the metric; 0 is slerp (or lerp if flat).
        alpha: α itself, in place of ``strength``.
        estimate: whose density.
        flat: measure in flat space instead of on the sphere. On the sphere the norms of both
            ends are interpolated, so that both stay exact.
        guidance: guidance weight in the middle of the path while decoding: 1 + (g-1) sin(πt).
            Needs a prompt; 1 is none.
        pace: spacing of the frames.
        tol: relative residual at which the solver stops.
        max_steps: steps of the solver on its finest level; 34 keep it below 600 rows.
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
    steps: int = 50
    refinements: int = 4
    family: Family = Family.GEODESIC
    strength: float = 1.0
    alpha: float | None = None
    estimate: Estimate = Estimate.LEVEL
    flat: bool = False
    guidance: float = 1.0
    pace: Pace = Pace.PERCEPTUAL
    tol: float = 1e-3
    max_steps: int = 34
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
        if self.estimate is Estimate.RATIO and not self.prompted:
            raise ValueError("the ratio estimate compares a prompt with none; give a prompt")
        if self.guidance != 1 and not self.prompted:
            raise ValueError(
                f"guidance is {self.guidance:g} but there is no prompt to guide towards; give a "
                "prompt, or guidance 1"
            )

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
        for name in ("family", "estimate", "pace"):
            values[name] = values[name].value
        values["prompt_b"] = self.prompts[1]
        values["fit"] = type(self.fit).__name__
        return values


def _demand(fine: bool, name: str, got: object, expected: str) -> None:
    if not fine:
        raise ValueError(f"{name} is {got}; expected {expected}")
