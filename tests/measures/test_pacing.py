"""Frames at equal steps of their features, however unevenly they came."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.measures import (
    FeatureLength,
    PooledPixels,
    Strip,
    equal_steps,
    nearest_frames,
)
from tests.measures.strips import noise


def test_equal_steps_undo_any_pace() -> None:
    t = torch.linspace(0, 1, 401, dtype=torch.float64)
    features = torch.stack([t**3, torch.zeros_like(t)], 1)
    times = equal_steps(t, features, 5)
    torch.testing.assert_close(
        times, torch.linspace(0, 1, 5, dtype=torch.float64) ** (1 / 3), atol=2e-3, rtol=0
    )
    assert nearest_frames(features, 3) == [0, round(400 * 0.5 ** (1 / 3)), 400]


def test_a_path_that_stands_still_keeps_its_parameters() -> None:
    still = torch.ones(5, 2)
    even = torch.linspace(0, 1, 5, dtype=torch.float64)
    torch.testing.assert_close(equal_steps(even, still, 3), even[::2])
    assert math.isnan(
        FeatureLength()(Strip(noise(5, 3, 8, 8), noise(2, 3, 8, 8), still))["largest step"]
    )


def test_feature_length_of_a_right_angle() -> None:
    corner = torch.tensor([[0.0, 0.0], [3.0, 0.0], [3.0, 4.0]])
    scores = FeatureLength()(Strip(noise(3, 3, 8, 8), noise(2, 3, 8, 8), corner))
    assert scores["feature length"] == pytest.approx(7 / 5)
    assert scores["largest step"] == pytest.approx(4 / 3.5)


@given(pace=st.floats(0.7, 3), count=st.integers(2, 30), bend=st.floats(0, 2))
def test_steps_are_equal_at_any_pace_along_any_curve(pace: float, count: int, bend: float) -> None:
    """A helix walked at t^pace: equal steps of arc length are known."""
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)
    u = t**pace
    angle = 2 * math.pi * u
    features = torch.stack([3 * u, bend * angle.cos(), bend * angle.sin()], 1)
    times = equal_steps(t, features, count)
    even = np.linspace(0, 1, count)
    apart = float(u.diff().max())
    np.testing.assert_allclose(times.numpy() ** pace, even, atol=0.5 * apart + 1e-5)
    assert (float(times[0]), float(times[-1])) == (0.0, 1.0)
    chosen = nearest_frames(features, count)
    assert (chosen[0], chosen[-1]) == (0, 2000)
    np.testing.assert_allclose(u[chosen].numpy(), even, atol=0.5 * apart + 1e-5)


def test_too_few_frames_repeat_and_none_are_refused() -> None:
    features = torch.tensor([[0.0], [1.0], [2.0]])
    assert nearest_frames(features, 5) == [0, 0, 1, 1, 2]
    with pytest.raises(ValueError, match="expected at least 2"):
        equal_steps(torch.linspace(0, 1, 3), features, 1)


def test_pooled_pixels_average_and_never_enlarge() -> None:
    images = noise(2, 3, 64, 20)
    pooled = PooledPixels()(images)
    assert pooled.shape == (2, 3 * 32 * 20)
    expected = images.unflatten(2, (32, 2)).mean(3)
    torch.testing.assert_close(pooled, expected.flatten(1))
