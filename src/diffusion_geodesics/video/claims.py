"""Means over clips with intervals, and the paper's claims beside what was found."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from diffusion_geodesics.measures import Interval, bootstrap_mean
from diffusion_geodesics.video.controls import Variant
from diffusion_geodesics.video.result import Claim, ShotAnalysis
from diffusion_geodesics.video.statistics import Statistics

LEAST_CLIPS = 5  # clips from which on they, and no longer their windows, are what is resampled


def by_clips(shots: Sequence[ShotAnalysis]) -> bool:
    """Whether clips are the units of the summary; else their windows are."""
    return len({shot.clip for shot in shots}) >= LEAST_CLIPS


def units(shots: Sequence[ShotAnalysis], variant: Variant, name: str) -> np.ndarray:
    """A statistic, one number a unit: the mean over the windows of a clip, or one a window."""
    found: dict[str, list[float]] = {}
    for shot in shots:
        if variant in shot.measured.statistics:
            values = getattr(shot.measured.statistics[variant], name).double().cpu().tolist()
            found.setdefault(shot.clip, []).extend(values)
    if not by_clips(shots):
        return np.asarray([v for values in found.values() for v in values])
    finite = ([v for v in values if math.isfinite(v)] for values in found.values())
    return np.asarray([np.mean(values) if values else math.nan for values in finite])


def summarise(shots: Sequence[ShotAnalysis], seed: int) -> Mapping[Variant, Mapping[str, Interval]]:
    """Every statistic of clip and controls, as a mean with its interval."""
    return {
        variant: {name: interval(shots, variant, name, seed) for name in Statistics.names()}
        for variant in Variant
        if any(variant in shot.measured.statistics for shot in shots)
    }


def interval(shots: Sequence[ShotAnalysis], variant: Variant, name: str, seed: int = 0) -> Interval:
    """The mean of a statistic over all units."""
    return bootstrap_mean(units(shots, variant, name), seed=seed)


def claims(shots: Sequence[ShotAnalysis], seed: int = 0) -> tuple[Claim, ...]:
    """The paper's claims about clips, each beside intervals that do or do not separate."""

    def compared(claim: str, name: str, small: Variant, large: Variant) -> Claim:
        first, second = (interval(shots, variant, name, seed) for variant in (small, large))
        decided = first.below(second) or second.below(first)
        holds = first.below(second) if decided else None
        return Claim(claim, f"{small.value} {shown(first)}, {large.value} {shown(second)}", holds)

    made: list[Claim] = []
    for control in (Variant.SHUFFLED, Variant.RANDOM):
        for name in ("deviation", "residual"):
            claim = f"Clips lie closer to geodesics than the {control.value} control ({name})"
            made.append(compared(claim, name, Variant.CLIP, control))
    claim = "Slow, smooth clips lie closer to geodesics than fast ones (deviation)"
    made.append(compared(claim, "deviation", Variant.SLOW, Variant.FAST))
    return (*made, *_density_claims(shots, seed))


def _density_claims(shots: Sequence[ShotAnalysis], seed: int) -> tuple[Claim, ...]:
    """Over parts: log density in the middle of geodesic and lerp less the mean of both ends."""
    middles: dict[str, list[float]] = {}
    for shot in shots:
        for path in shot.measured.paths:
            inside = (path.t > 1 / 3) & (path.t < 2 / 3)
            ends = 0.5 * float(path.log_density[0] + path.log_density[-1])
            value = float(path.log_density.cpu()[inside].mean()) - ends
            middles.setdefault(path.name, []).append(value)
    if "geodesic" not in middles:
        return ()
    found = {name: bootstrap_mean(values, seed=seed) for name, values in middles.items()}

    def sign(mean: Interval, wanted: float) -> bool | None:
        low, high = (mean.mean, mean.mean) if mean.count == 1 else (mean.low, mean.high)
        return (low > 0) == (wanted > 0) if low > 0 or high < 0 else None

    text = {name: f"{name} {shown(mean)} nats" for name, mean in found.items()}
    high = "Density is high along geodesics (in the middle, against the mean of both ends)"
    low = f"{text['lerp']}; {text['slerp']} (which keeps the norm)"
    return (
        Claim(high, text["geodesic"], sign(found["geodesic"], 1.0)),
        Claim("Density drops in the middle of lerp", low, sign(found["lerp"], -1.0)),
    )


def shown(mean: Interval) -> str:
    """'1.23 [1.10, 1.31]', or a dash where there is nothing."""
    if not mean.count:
        return "–"
    if not math.isfinite(mean.low):
        return f"{mean.mean:.3g}"
    return f"{mean.mean:.3g} [{mean.low:.3g}, {mean.high:.3g}]"
