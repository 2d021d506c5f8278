"""Rates, and words on uneven intervals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.clips.times import (
    even_times,
    in_mean_intervals,
    mean_rate,
    uneven_intervals,
)


def test_the_mean_rate_is_of_intervals() -> None:
    assert mean_rate(even_times(12, 10.0), 0.0) == pytest.approx(10.0)
    assert mean_rate(np.array([0.0, 0.01, 2.0]), 0.0) == pytest.approx(1.0)
    assert mean_rate(np.array([0.0]), 25.0) == 25.0


def test_uneven_intervals_are_said_with_figures() -> None:
    (note,) = uneven_intervals(np.array([0.0, 0.01, 0.02, 0.03, 1.21]), 1e-4)
    assert "0.01 s to 1.18 s" in note
    assert "1 of 4 unlike the median" in note


@given(st.integers(3, 200), st.sampled_from([24, 30000 / 1001, 50, 60, 120]))
def test_rounding_alone_is_not_uneven(count: int, rate: float) -> None:
    times = even_times(count, rate)
    assert uneven_intervals(times, 0.0) == ()
    assert uneven_intervals(np.round(times, 3), 1e-3) == ()
    assert uneven_intervals(np.round(times, 2), 1e-2) == ()


@given(st.integers(2, 30), st.integers(0, 30))
def test_a_single_missing_frame_is_seen(count: int, gap: int) -> None:
    times = np.delete(even_times(count + 5, 25.0), 1 + gap % (count + 3))
    assert len(uneven_intervals(times, 1e-4)) == 1


@given(rate=st.sampled_from([10.0, 24.0, 23.976, 29.97, 60.0]), count=st.integers(2, 300))
def test_even_frames_are_whole_numbers_whatever_the_rounding(rate: float, count: int) -> None:
    for tick in (1e-5, 1e-3):
        times = np.round(np.arange(count) / rate / tick) * tick
        assert np.array_equal(in_mean_intervals(times, tick), np.arange(count))


def test_uneven_frames_keep_their_times() -> None:
    times = np.array([3.0, 3.1, 3.2, 4.0])
    assert np.allclose(in_mean_intervals(times, 0.001), [0.0, 0.3, 0.6, 3.0])
    assert np.array_equal(in_mean_intervals(times[:3], 0.0), [0, 1, 2])
