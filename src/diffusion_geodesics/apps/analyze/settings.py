"""Every choice of an analysis."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from diffusion_geodesics.clips import CutRule, Reading
from diffusion_geodesics.framing import CentreCrop, Fit

LEAST_FRAMES = 5
"""Frames without which no curve can be told from a line."""


@dataclass(frozen=True)
class AnalysisSettings:
    """Settings of :func:`diffusion_geodesics.apps.analyze.analyze`.

    Args:
        reading: which frames of each clip.
        stream: which video stream of a file with several; the longest default one if not given.
        cuts: what a cut is; None to look for none.
        prompt: what the clips show; empty for none.
        level: noise level in (0, 1], as the fraction of the ``steps`` DDIM steps.
        steps: DDIM steps from pure noise to a clean latent.
        refinements: most extra fixed-point iterations at each inversion step.
        strength: α · dim of the metric; 0 is the sphere's own geometry.
        alpha: α itself, in place of ``strength``.
        window: frames of the windows that are compared with a geodesic each, at least 5; a
            shorter clip is one window.
        half: frames on either side that a velocity or an acceleration is fitted to, at least 1.
        controls: measure the controls as well; without them the clip stands alone.
        tol, max_steps, intervals: of the boundary value solver.
        seed: of the shuffles, the random paths and the bootstrap.
        size: edge of the square whose area is used, or (height, width); the model's own by
            default.
        fit: how frames of another aspect ratio are brought to that size.
        shown: frames of each film in the report; 0 decodes none.
        longest: frames after which a shot is analysed in a further part, so that memory is
            bounded.

    Raises:
        ValueError: a value out of its range.
    """

    reading: Reading = field(default_factory=Reading)
    stream: int | None = None
    cuts: CutRule | None = field(default_factory=CutRule)
    prompt: str = ""
    level: float = 0.4
    steps: int = 25
    refinements: int = 2
    strength: float = 1.0
    alpha: float | None = None
    window: int = 17
    half: int = 2
    controls: bool = True
    tol: float = 1e-2
    max_steps: int = 30
    intervals: int = 16
    seed: int = 0
    size: int | tuple[int, int] | None = None
    fit: Fit = field(default_factory=CentreCrop)
    shown: int = 9
    longest: int = 512

    def __post_init__(self) -> None:
        least = max(LEAST_FRAMES, 2 * self.half + 1)
        _demand(0 < self.level <= 1, "level", self.level, "a fraction in (0, 1]")
        _demand(self.steps >= 1, "steps", self.steps, "at least 1")
        _demand(self.refinements >= 0, "refinements", self.refinements, "0 or more")
        _demand(0 <= self.strength < 1e9, "strength", self.strength, "a finite number ≥ 0")
        _demand(
            self.alpha is None or 0 <= self.alpha < 1e9, "alpha", self.alpha, "a finite number ≥ 0"
        )
        _demand(self.half >= 1, "half", self.half, "at least 1")
        _demand(self.window >= least, "window", self.window, f"at least {least} frames")
        _demand(self.tol > 0, "tol", self.tol, "a positive number")
        _demand(self.max_steps >= 1, "max_steps", self.max_steps, "at least 1")
        _demand(self.intervals >= 4, "intervals", self.intervals, "at least 4")
        _demand(self.shown == 0 or self.shown >= 2, "shown", self.shown, "0, or at least 2")
        _demand(
            self.longest >= self.window, "longest", self.longest, "at least as many as a window"
        )

    @property
    def least(self) -> int:
        """Frames that a shot must have."""
        return max(LEAST_FRAMES, 2 * self.half + 1)

    def alpha_for(self, dim: int) -> float:
        """α for latents of ``dim`` coordinates."""
        return self.strength / dim if self.alpha is None else self.alpha

    def as_dict(self) -> dict[str, object]:
        """Every setting, ready for JSON."""
        values = asdict(self)
        values["fit"] = type(self.fit).__name__
        return values


def _demand(fine: bool, name: str, got: object, expected: str) -> None:
    if not fine:
        raise ValueError(f"{name} is {got}; expected {expected}")
