"""Frames count at the times when they are shown: uneven times are no uneven motion."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.extrapolation.directions import fitted_velocity
from diffusion_geodesics.manifold import Flat
from diffusion_geodesics.path import GreatArc
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.video.controls import Variant, slowed_times, windowed
from diffusion_geodesics.video.local_fit import local_fit
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.video.shot import Measured, measure_shot
from tests.video.scenes import SPHERE, ends, geometry


def uneven(count: int, seed: int = 0) -> Tensor:
    """Rising times with steps between 0.2 and 1.8, from 0."""
    generator = torch.Generator().manual_seed(seed)
    steps = 0.2 + 1.6 * torch.rand(count - 1, generator=generator, dtype=torch.float64)
    return torch.cat([torch.zeros(1, dtype=torch.float64), steps.cumsum(0)])


@given(half=st.integers(1, 4), seed=st.integers(0, 1000))
def test_parabolas_at_any_times_are_fitted_exactly(half: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b, c = torch.randn(3, 2, 4, generator=generator, dtype=torch.float64)
    t = torch.stack([uneven(11, seed), uneven(11, seed + 1)], 1)
    x = a + b * t[..., None] + 0.5 * c * t[..., None] ** 2
    fit = local_fit(x, half, t)
    assert_close(fit.acceleration, c.expand_as(fit.acceleration), rtol=1e-6, atol=1e-6)
    inner = (b + c * t[..., None])[half : 11 - half]
    assert_close(fit.velocity, inner, rtol=1e-6, atol=1e-6)


def shot(times: Tensor, at: Tensor) -> Measured:
    """A great arc at fractions of it, said to be shown at times; without strength it is a
    geodesic."""
    points = GreatArc(*ends())(at / at[-1])
    settings = VideoSettings.of(half=1, window=33, controls=False, tol=1e-4)
    return measure_shot(Run(), geometry(0.0), SPHERE, points, settings, "a shot", times)


def test_constant_speed_is_seen_at_uneven_times_and_only_with_them() -> None:
    at = uneven(17)
    own = shot(at, at).statistics[Variant.CLIP]
    blind = shot(torch.arange(17, dtype=torch.float64), at).statistics[Variant.CLIP]
    assert float(own.variation) < 0.01, "chords of unequal arcs"
    assert float(blind.variation) > 0.3
    assert float(own.speed) == pytest.approx(float(blind.speed * 16 / at[-1]), rel=1e-9)


def test_even_frames_that_are_shown_unevenly_change_their_speed() -> None:
    even, times = torch.arange(17, dtype=torch.float64), uneven(17)
    assert float(shot(times, even).statistics[Variant.CLIP].variation) > 0.3


def test_windows_carry_their_times() -> None:
    points = torch.randn(9, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    times = uneven(9)
    own = windowed(points, points, times, 5)
    assert torch.equal(own.times, times[own.index])
    fast = windowed(points, points, times, 5, 2)
    assert torch.equal(fast.times, times[::2, None] / 2)


@given(count=st.integers(2, 12))
def test_half_as_fast_takes_the_time_of_half_the_window_twice(count: int) -> None:
    even = torch.arange(count, dtype=torch.float64)[:, None]
    assert_close(slowed_times(even), even)
    slow = slowed_times(uneven(count)[:, None])
    assert slow.shape == (count, 1)
    assert bool((slow.diff(dim=0) > 0).all())
    assert_close(slow[::2], 2 * uneven(count)[:, None][: (count + 1) // 2])


@pytest.mark.parametrize("bend", [False, True])
def test_the_velocity_after_a_clip_is_over_time(bend: bool) -> None:
    """A point that moves at one speed, seen at uneven times."""
    times = uneven(5, 3)
    step = torch.tensor([1.0, -2.0], dtype=torch.float64)
    points = times[:, None] * step
    assert_close(fitted_velocity(points, Flat(), bend, np.asarray(times)), step)
    blind = fitted_velocity(points, Flat(), bend)
    assert float((blind - step).norm()) > 0.02
