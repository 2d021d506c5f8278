"""Means with bootstrap intervals, and win rates."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from diffusion_geodesics.measures import Better, Interval, bootstrap_mean, win_rate


def test_bootstrap_intervals_cover() -> None:
    random = np.random.default_rng(5)
    trials, hits = 300, 0
    for k in range(trials):
        found = bootstrap_mean((random.exponential(size=40) + 1).tolist(), seed=k, resamples=400)
        hits += found.low <= 2.0 <= found.high
    assert 0.89 <= hits / trials <= 0.98


def test_estimates_are_deterministic_and_leave_out_what_is_missing() -> None:
    values = [1.0, 2.0, math.nan, 3.0]
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values).count == 3
    assert bootstrap_mean(values).mean == 2.0
    assert bootstrap_mean([]).count == 0
    assert math.isnan(bootstrap_mean([4.0]).low)


def test_win_rates_are_paired() -> None:
    a, b = [1.0, 2.0, 3.0, math.nan, 5.0], [0.0, 2.0, 4.0, 1.0, 1.0]
    higher = win_rate(a, b, Better.HIGHER)
    assert (higher.mean, higher.count) == (2.5 / 4, 4)
    assert win_rate(a, b, Better.LOWER).mean == 1.5 / 4
    random = np.random.default_rng(6)
    base = 10 * random.normal(size=80)  # a small gain that only pairing shows
    better = base + 0.3 + 0.5 * random.normal(size=80)
    found = win_rate(better.tolist(), base.tolist(), Better.HIGHER)
    assert found.low > 0.5
    chance = np.asarray(wilcoxon(better, base))[1]
    assert chance < 0.05
    with pytest.raises(ValueError, match="does not rank"):
        win_rate(a, b, Better.NEITHER)
    with pytest.raises(ValueError, match="expected pairs"):
        win_rate(a, b[:3], Better.LOWER)


def test_intervals_of_normal_values_are_those_of_their_mean() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    found = bootstrap_mean(values)
    assert found.low < found.mean < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 / 20, rel=0.15)
    assert found.count == 400


def test_intervals_lie_below_others_where_they_do_not_overlap() -> None:
    assert Interval(1, 0, 2, 3).below(Interval(4, 3, 5, 3))
    assert not Interval(1, 0, 2, 3).below(Interval(2, 1.5, 5, 3))
    one = Interval(1, math.nan, math.nan, 1)
    assert not one.below(Interval(4, 3, 5, 3)), "one value has no interval"


@given(value=st.floats(-1e6, 1e6), count=st.integers(2, 20))
def test_constant_values_have_an_interval_of_no_width(value: float, count: int) -> None:
    found = bootstrap_mean([value] * count)
    assert found.low == found.mean == found.high == pytest.approx(value)
    assert found.count == count


@given(
    a=st.lists(st.integers(-3, 3), min_size=2, max_size=12),
    shift=st.integers(-3, 3),
)
def test_win_rates_of_the_two_sides_add_up_to_one(a: list[int], shift: int) -> None:
    values, other = [float(x) for x in a], [float((x * 7 + shift) % 5) for x in a]
    there = win_rate(values, other, Better.HIGHER).mean
    back = win_rate(other, values, Better.HIGHER).mean
    assert there + back == pytest.approx(1)
    assert win_rate(values, other, Better.LOWER).mean == pytest.approx(back)
