"""Means, bootstrap intervals, and how often one method beats another on the same pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from diffusion_geodesics.measures.measure import Better

RESAMPLES = 2000


@final
@dataclass(frozen=True)
class Estimate:
    """A mean with its 95% percentile-bootstrap interval.

    Args:
        value: the mean; NaN where nothing was measured.
        low, high: of the interval; NaN for fewer than two values.
        count: values it is the mean of.
    """

    value: float
    low: float
    high: float
    count: int


def mean_estimate(
    values: Sequence[float], *, seed: int = 0, resamples: int = RESAMPLES, level: float = 0.95
) -> Estimate:
    """The mean of the finite values, with a bootstrap interval over them.

    Deterministic under ``seed``. With very few values the interval is too narrow: at n = 10 it
    covers about 90%.
    """
    finite = np.asarray([v for v in values if np.isfinite(v)], dtype=np.float64)
    if not len(finite):
        return Estimate(np.nan, np.nan, np.nan, 0)
    if len(finite) == 1:
        return Estimate(float(finite[0]), np.nan, np.nan, 1)
    drawn = np.random.default_rng(seed).integers(len(finite), size=(resamples, len(finite)))
    means = finite[drawn].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(finite.mean()), float(low), float(high), len(finite))


def win_rate(
    values: Sequence[float], rivals: Sequence[float], better: Better, *, seed: int = 0
) -> Estimate:
    """Share of pairs on which ``values`` beat ``rivals``, pair by pair; ties count half.

    Pairs on which either is missing are left out.

    Raises:
        ValueError: different numbers of pairs, or a quantity that does not rank.
    """
    if len(values) != len(rivals):
        raise ValueError(f"got {len(values)} values and {len(rivals)} rivals; expected pairs")
    won = [
        better.wins(a, b)
        for a, b in zip(values, rivals, strict=True)
        if np.isfinite(a) and np.isfinite(b)
    ]
    return mean_estimate(won, seed=seed)
