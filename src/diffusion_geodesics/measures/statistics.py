"""Means with bootstrap intervals, and how often one method beats another on the same pairs."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from diffusion_geodesics.measures.measure import Better

RESAMPLES = 2000


@final
@dataclass(frozen=True)
class Interval:
    """A mean with its 95% bootstrap interval.

    ``mean`` is NaN without a value, and the interval for fewer than two."""

    mean: float
    low: float
    high: float
    count: int  # values it is the mean of

    def below(self, other: Interval) -> bool:
        """Whether the whole interval lies below another."""
        return self.high < other.low


def bootstrap_mean(
    values: Sequence[float] | np.ndarray,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = 0.95,
) -> Interval:
    """The mean of the finite values, with a bias-corrected and accelerated bootstrap interval.

    Deterministic under ``seed``. Constant values have an interval of no width. With very few values
    the interval is too narrow.

    References:
        Efron, Better bootstrap confidence intervals, Journal of the American Statistical
        Association 82, 1987.
    """
    array = np.asarray(values, dtype=np.float64)
    array = array[np.isfinite(array)]
    if not len(array):
        return Interval(math.nan, math.nan, math.nan, 0)
    mean = float(array.mean())
    if len(array) == 1:
        return Interval(mean, math.nan, math.nan, 1)
    if np.ptp(array) <= 1e-12 * np.abs(array).max():
        return Interval(mean, mean, mean, len(array))
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of degenerate data: the fallback below takes care of it
        how = {"n_resamples": resamples, "confidence_level": level, "method": "BCa"}
        found = bootstrap((array,), np.mean, **how, rng=np.random.default_rng(seed))
    low, high = (float(x) for x in found.confidence_interval)
    if not (math.isfinite(low) and math.isfinite(high)):
        picks = np.random.default_rng(seed).integers(len(array), size=(resamples, len(array)))
        tails = [(1 - level) / 2, (1 + level) / 2]
        low, high = (float(x) for x in np.quantile(array[picks].mean(1), tails))
    return Interval(mean, low, high, len(array))


def win_rate(
    values: Sequence[float], baseline: Sequence[float], better: Better, *, seed: int = 0
) -> Interval:
    """Share of pairs on which ``values`` beat those of a baseline, pair by pair; ties count half.

    Pairs on which either is missing are left out.

    Raises:
        ValueError: different numbers of pairs, or a quantity that does not rank.
    """
    if len(values) != len(baseline):
        raise ValueError(f"got {len(values)} values and {len(baseline)} to beat; expected pairs")
    pairs = zip(values, baseline, strict=True)
    won = [better.wins(a, b) for a, b in pairs if np.isfinite(a) and np.isfinite(b)]
    return bootstrap_mean(won, seed=seed)
