"""Every choice of an extrapolation."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

from diffusion_geodesics.framing import CentreCrop, Fit


@dataclass(frozen=True)
class Ascent:
    r"""A correction after each frame: a few steps of :math:`x \leftarrow x + c\,\sigma^2 s(x)`
    towards higher density, tangent part only. It leaves the geodesic.

    Args:
        steps: how many, at least 1; one score evaluation each.
        size: c in (0, 1]; 1 would take all noise away that the model sees.

    Raises:
        ValueError: a value out of range.
    """

    steps: int = 2
    size: float = 0.02

    def __post_init__(self) -> None:
        _demand(self.steps >= 1, "ascent steps", self.steps, "at least 1")
        _demand(0 < self.size <= 1, "ascent size", self.size, "a number in (0, 1]")


@dataclass(frozen=True)
class Remedies:
    """What may be done about a ray that leaves high density; nothing by default, and the report
    says what was applied.

    Args:
        halvings: how often the strength may be halved, and the ray begun anew, where it leaves
            the typical set.
        keep_norm: bring the latent back to the norm of the start after each frame; in flat space
            only, the shell keeps norms by itself.
        reestimate: frames after which the direction is estimated anew from where the ray is; 0
            for never. Only towards an image or a prompt: other directions are known once.
        ascent: a correction towards higher density after each frame.

    Raises:
        ValueError: a value out of range.
    """

    halvings: int = 0
    keep_norm: bool = False
    reestimate: int = 0
    ascent: Ascent | None = None

    def __post_init__(self) -> None:
        _demand(0 <= self.halvings <= 20, "halvings", self.halvings, "0 to 20")
        _demand(self.reestimate >= 0, "reestimate", self.reestimate, "a number of frames, or 0")


@dataclass(frozen=True)
class ExtrapolationSettings:
    """Settings of :func:`diffusion_geodesics.apps.extrapolate.extrapolate`.

    Args:
        frames: frames of the film, the start included, at least 2.
        reach: how far to go, > 0, in the direction's own unit: the way to the second image, the
            way between both, the start's norm (a radian on the shell), the given vector, or one
            frame of the clip. By default what the direction says.
        prompt: what the images show: the density is p(x | prompt).
        level: noise level in (0, 1], as the fraction of the ``steps`` DDIM steps.
        steps: DDIM steps from pure noise to a clean latent.
        refinements: most extra fixed-point iterations at each inversion step.
        strength: α · dim of the metric; 0 goes straight on (a great circle, or a line if flat). By
            default what the direction says: 0 after a clip, where that is nearest to the truth,
            and 1 else.
        alpha: α itself, in place of ``strength``.
        flat: march in flat space, where norms grow, instead of on the shell.
        ray_steps: steps of the integrator for the whole ray, five score evaluations each.
        stop: end the film where the ray leaves the typical set; else go on and warn.
        band: relative half-width of the typical band of noise energy, around that of the start
            and 1.
        remedies: what may be done about that.
        tol, max_steps, intervals: of the boundary value solver, where one is needed.
        compare: decode the straight continuation (strength 0) as well.
        size: edge of the square whose area is used, or (height, width); the model's own by
            default.
        fit: how images of another aspect ratio are brought to that size.

    Raises:
        ValueError: a value out of its range.
    """

    frames: int = 9
    reach: float | None = None
    prompt: str = ""
    level: float = 0.4
    steps: int = 50
    refinements: int = 4
    strength: float | None = None
    alpha: float | None = None
    flat: bool = False
    ray_steps: int = 16
    stop: bool = True
    band: float = 0.25
    remedies: Remedies = field(default_factory=Remedies)
    tol: float = 1e-3
    max_steps: int = 34
    intervals: tuple[int, ...] = (16,)
    compare: bool = True
    size: int | tuple[int, int] | None = None
    fit: Fit = field(default_factory=CentreCrop)

    def __post_init__(self) -> None:
        _demand(self.frames >= 2, "frames", self.frames, "at least 2")
        _demand(
            self.reach is None or 0 < self.reach < math.inf, "reach", self.reach, "a number > 0"
        )
        _demand(0 < self.level <= 1, "level", self.level, "a fraction in (0, 1]")
        _demand(self.steps >= 1, "steps", self.steps, "at least 1")
        _demand(self.refinements >= 0, "refinements", self.refinements, "0 or more")
        strength = self.strength
        _demand(
            strength is None or 0 <= strength < 1e9, "strength", strength, "a finite number ≥ 0"
        )
        _demand(
            self.alpha is None or 0 <= self.alpha < 1e9, "alpha", self.alpha, "a finite number ≥ 0"
        )
        _demand(self.ray_steps >= 2, "ray_steps", self.ray_steps, "at least 2")
        _demand(0 < self.band < 1, "band", self.band, "a fraction in (0, 1)")
        _demand(self.tol > 0, "tol", self.tol, "a positive number")
        _demand(self.max_steps >= 1, "max_steps", self.max_steps, "at least 1")
        if self.remedies.keep_norm and not self.flat:
            raise ValueError(
                "keep_norm is for flat space: the shell keeps norms by itself; add flat, or leave "
                "keep_norm out"
            )

    def alpha_for(self, dim: int) -> float:
        """α for latents of ``dim`` coordinates."""
        strength = 1.0 if self.strength is None else self.strength
        return strength / dim if self.alpha is None else self.alpha

    def as_dict(self) -> dict[str, object]:
        """Every setting, ready for JSON."""
        values = asdict(self)
        values["fit"] = type(self.fit).__name__
        return values


def _demand(fine: bool, name: str, got: object, expected: str) -> None:
    if not fine:
        raise ValueError(f"{name} is {got}; expected {expected}")
