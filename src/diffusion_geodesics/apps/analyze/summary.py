"""Means with intervals, and the paper's claims beside what was found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from diffusion_geodesics.apps.analyze.part import PartAnalysis
from diffusion_geodesics.apps.analyze.variants import Variant

RESAMPLES = 4000
LEAST_CLIPS = 5
"""Clips from which on they, and no longer their windows, are what is resampled."""


@dataclass(frozen=True)
class Interval:
    """A mean with its 95% bootstrap interval, over ``count`` units; NaN without a unit, an empty
    interval (NaN) with one."""

    mean: float
    low: float
    high: float
    count: int

    def below(self, other: Interval) -> bool:
        """Whether the whole interval lies below another."""
        return self.high < other.low


def bootstrap_mean(values: Sequence[float] | np.ndarray, seed: int = 0) -> Interval:
    """The mean of the finite values, with the percentile interval of 4000 seeded resamples."""
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if not len(array):
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(array.mean())
    if len(array) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    picks = np.random.default_rng(seed).integers(0, len(array), (RESAMPLES, len(array)))
    low, high = np.quantile(array[picks].mean(1), (0.025, 0.975))
    return Interval(mean, float(low), float(high), len(array))


def by_clips(parts: Sequence[PartAnalysis]) -> bool:
    """Whether clips are the units of the summary; else their windows are."""
    return len({part.clip for part in parts}) >= LEAST_CLIPS


def units(parts: Sequence[PartAnalysis], variant: Variant, name: str) -> np.ndarray:
    """A figure, one number a unit: the mean over the windows of a clip, or one a window."""
    found: dict[str, list[float]] = {}
    for part in parts:
        if variant in part.figures:
            values = getattr(part.figures[variant], name).double().cpu().tolist()
            found.setdefault(part.clip, []).extend(values)
    if not by_clips(parts):
        return np.asarray([v for values in found.values() for v in values])
    finite = ([v for v in values if math.isfinite(v)] for values in found.values())
    return np.asarray([np.mean(values) if values else math.nan for values in finite])


def interval(parts: Sequence[PartAnalysis], variant: Variant, name: str, seed: int = 0) -> Interval:
    """The mean of a figure over all units."""
    return bootstrap_mean(units(parts, variant, name), seed)


class Verdict(Enum):
    """What the figures say about a claim."""

    HOLDS = "holds here"
    FAILS = "the opposite here"
    OPEN = "not decided here"


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and what was found."""

    claim: str
    found: str
    verdict: Verdict


def claims(parts: Sequence[PartAnalysis], seed: int = 0) -> tuple[Claim, ...]:
    """The paper's claims about clips, each beside intervals that do or do not separate."""
    made: list[Claim] = []
    for control in (Variant.SHUFFLED, Variant.RANDOM):
        for name in ("deviation", "residual"):
            made.append(
                _compared(
                    parts,
                    f"Clips lie closer to geodesics than the {control.value} control ({name})",
                    (Variant.CLIP, name),
                    (control, name),
                    seed,
                )
            )
    made.append(
        _compared(
            parts,
            "Slow, smooth clips lie closer to geodesics than fast ones (deviation)",
            (Variant.SLOW, "deviation"),
            (Variant.FAST, "deviation"),
            seed,
        )
    )
    return (*made, *_density_claims(parts, seed))


def _compared(
    parts: Sequence[PartAnalysis],
    claim: str,
    small: tuple[Variant, str],
    large: tuple[Variant, str],
    seed: int,
) -> Claim:
    first, second = interval(parts, *small, seed), interval(parts, *large, seed)
    verdict = Verdict.OPEN
    if first.below(second):
        verdict = Verdict.HOLDS
    elif second.below(first):
        verdict = Verdict.FAILS
    return Claim(
        claim, f"{small[0].value} {shown(first)}, {large[0].value} {shown(second)}", verdict
    )


def _density_claims(parts: Sequence[PartAnalysis], seed: int) -> tuple[Claim, ...]:
    """Over parts: log density in the middle of geodesic and lerp less the mean of both ends."""
    middles: dict[str, list[float]] = {}
    for part in parts:
        for path in part.paths:
            inside = (path.t > 1 / 3) & (path.t < 2 / 3)
            ends = 0.5 * float(path.log_density[0] + path.log_density[-1])
            value = float(path.log_density.cpu()[inside].mean()) - ends
            middles.setdefault(path.name, []).append(value)
    if "geodesic" not in middles:
        return ()
    found = {name: bootstrap_mean(values, seed) for name, values in middles.items()}

    def sign(mean: Interval, wanted: float) -> Verdict:
        low, high = (mean.mean, mean.mean) if mean.count == 1 else (mean.low, mean.high)
        if low > 0 or high < 0:
            return Verdict.HOLDS if (low > 0) == (wanted > 0) else Verdict.FAILS
        return Verdict.OPEN

    told = {name: f"{name} {shown(mean)} nats" for name, mean in found.items()}
    return (
        Claim(
            "Density is high along geodesics (in the middle, against the mean of both ends)",
            told["geodesic"],
            sign(found["geodesic"], 1.0),
        ),
        Claim(
            "Density drops in the middle of lerp",
            f"{told['lerp']}; {told['slerp']} (which keeps the norm)",
            sign(found["lerp"], -1.0),
        ),
    )


def shown(mean: Interval) -> str:
    """'1.23 [1.10, 1.31]', or a dash where there is nothing."""
    if not mean.count:
        return "–"
    if not math.isfinite(mean.low):
        return f"{mean.mean:.3g}"
    return f"{mean.mean:.3g} [{mean.low:.3g}, {mean.high:.3g}]"
