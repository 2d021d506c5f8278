"""What is compared on handwritten digits, and the settings of all of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from diffusion_geodesics import Settings
from diffusion_geodesics.apps.evidence import (
    Geodesic,
    LatentLerp,
    LevelPath,
    MaximalDensity,
    Method,
    PixelBlend,
    Reel,
    Stage,
)
from diffusion_geodesics.apps.evidence.solved import solved
from diffusion_geodesics.apps.interpolate import solver_of
from diffusion_geodesics.apps.settings import Estimate, Family
from diffusion_geodesics.diffusion import Cost

SLERP = Family.SLERP.value
LEVEL, FRAMES, STRENGTHS = 0.6, 9, (1.0, 3.0, 10.0, 30.0)
PAPER_STRENGTH = 33.0
"""α·d of the paper's α = 0.002 in the 16,384 dimensions of its latents."""


@final
@dataclass(frozen=True)
class Paper(Method):
    """The paper's algorithm; its negative prompt, which this model cannot take, is the empty one.

    Args:
        strength: α·d; None for their α = 0.002, which is 0.07 in 36 dimensions and 33 in theirs.
        own_level: their level, steps and inversion instead of those of the other methods.
    """

    strength: float | None = None
    own_level: bool = False

    @property
    def name(self) -> str:
        where = "at its own level" if self.own_level else "at the same level"
        return f"published {where}" + (f", α·d = {self.strength:g}" if self.strength else "")

    def reel(self, stage: Stage, pair: str) -> Reel:
        theirs = Settings.published(prompt_a="0", negative="")
        alpha = theirs.alpha if self.strength is None else self.strength / stage.ends.shape[1]
        path = {
            name: getattr(theirs, name)
            for name in ("negative", "estimate", "window", "solver", "blend")
        }
        if not self.own_level:
            own = stage.with_path(alpha=alpha, **path)
            return solved(own, self.name, solver_of(theirs))
        there = ("level", "steps", "refinements", "sampler")
        own = stage.moved(alpha=alpha, **path, **{n: getattr(theirs, n) for n in there})
        found = solved(own, self.name, solver_of(theirs))
        extra = Cost(own.cost.rows - stage.cost.rows, own.cost.calls - stage.cost.calls)
        return replace(found, candidate=None, cost=found.cost + extra)


def ratio(strength: float, guidance: float = 1.0) -> Geodesic:
    """The geodesic of p(x | class) / p(x)."""
    return Geodesic(strength, Estimate.RATIO, guidance=guidance)


def at_levels() -> list[Method]:
    """What is compared at every level."""
    families = [LevelPath(f) for f in (Family.LERP, Family.SLERP, Family.HLERP)]
    bumped = LevelPath(Family.HLERP, 2.0)
    return [*families, bumped, *(Geodesic(s) for s in STRENGTHS), ratio(1.0), ratio(3.0)]


def every_method() -> list[Method]:
    """What is compared on all pairs, besides real images."""
    more: list[Method] = [PixelBlend(), LatentLerp(), LevelPath(Family.LERP, 2.0)]
    more += [LevelPath(f, g) for f, g in ((Family.SLERP, 2.0), (Family.SLERP, 3.0))]
    more += [LevelPath(Family.HLERP, 3.0), Geodesic(1.0, guidance=2.0)]
    more += [ratio(1.0, 2.0), ratio(3.0, 2.0), ratio(10.0), ratio(10.0, 2.0), MaximalDensity()]
    return [*at_levels(), *more, Paper(), Paper(PAPER_STRENGTH), Paper(own_level=True)]


def main_settings(level: float = LEVEL) -> Settings:
    """Those of all studies; along paths the metric of strength 1 is measured."""
    return Settings(level=level, frames=FRAMES)


QUICK: tuple[Method, ...] = (
    LevelPath(Family.LERP),
    LevelPath(Family.SLERP),
    LevelPath(Family.HLERP, 2.0),
    Geodesic(1.0),
    ratio(3.0),
)
