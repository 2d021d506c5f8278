"""Local parabolas: exact for parabolas, and what they leave over is jitter."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from diffusion_geodesics.video.local_fit import local_fit


@given(half=st.integers(1, 4), seed=st.integers(0, 1000))
def test_parabolas_are_fitted_exactly(half: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    a, b, c = torch.randn(3, 2, 4, generator=generator, dtype=torch.float64)
    t = torch.arange(11, dtype=torch.float64)[:, None, None]
    fit = local_fit(a + b * t + 0.5 * c * t**2, half)
    assert_close(fit.acceleration, c.expand_as(fit.acceleration), rtol=1e-9, atol=1e-9)
    assert_close(fit.velocity, (b + c * t)[half : 11 - half], rtol=1e-9, atol=1e-9)
    assert bool(torch.isnan(fit.jitter).all()) if half == 1 else bool((fit.jitter < 1e-9).all())


def test_half_one_gives_central_differences() -> None:
    points = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    fit = local_fit(points, 1)
    assert_close(fit.velocity, (points[2:] - points[:-2]) / 2)
    assert_close(fit.acceleration, points[2:] - 2 * points[1:-1] + points[:-2])


def test_the_acceleration_of_noise_is_all_jitter_and_that_of_a_line_is_none() -> None:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(400, 50, generator=generator, dtype=torch.float64)
    assert float(local_fit(noise, 2).jitter) == pytest.approx(1.0, abs=0.1)
    t = torch.arange(9, dtype=torch.float64)[:, None]
    assert bool(torch.isnan(local_fit(2 * t, 2).jitter).all()), "there is no acceleration"


def test_too_few_points_are_refused() -> None:
    t = torch.arange(6, dtype=torch.float64)[:, None]
    with pytest.raises(ValueError, match="got 6 points for fits over 3.*at least 7"):
        local_fit(t, 3)
    with pytest.raises(ValueError, match="half at least 1"):
        local_fit(t, 0)
