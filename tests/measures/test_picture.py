"""Measures on pixels alone against exact cases and an independent computation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from diffusion_geodesics.measures import (
    Better,
    Pictures,
    PooledPixels,
    Strip,
    ghosting,
    sharpness,
    ssim,
)
from tests.measures.strips import cross_fade, noise, strip_of


def test_ssim_of_an_image_with_itself_is_one() -> None:
    x = noise(2, 3, 16, 20)
    torch.testing.assert_close(ssim(x, x), torch.ones(2, dtype=torch.float64))


def test_ssim_of_constant_images_is_the_luminance_term() -> None:
    a, b = (torch.full((1, 3, 12, 12), v, dtype=torch.float64) for v in (0.2, 0.7))
    c1 = 1e-4
    exact = (2 * 0.2 * 0.7 + c1) / (0.2**2 + 0.7**2 + c1)
    assert float(ssim(a, b)) == pytest.approx(exact, rel=1e-9)


def test_ssim_agrees_with_another_implementation() -> None:
    a, b = noise(1, 3, 24, 20), noise(1, 3, 24, 20, seed=1)
    b = 0.6 * a + 0.4 * b

    def local(x: np.ndarray) -> np.ndarray:  # an 11-pixel window: truncated at 3.5 times 1.5
        return gaussian_filter(x, 1.5, truncate=3.5)[5:-5, 5:-5]

    found = []
    for x, y in zip(a[0].numpy(), b[0].numpy(), strict=True):
        mx, my = local(x), local(y)
        vx, vy, cov = local(x * x) - mx**2, local(y * y) - my**2, local(x * y) - mx * my
        top = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
        found.append((top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))).mean())
    assert float(ssim(a, b)) == pytest.approx(np.mean(found), rel=1e-9)


def test_ssim_is_symmetric_and_refuses_what_it_cannot_take() -> None:
    a, b = noise(1, 3, 16, 16), noise(1, 3, 16, 16, seed=2)
    torch.testing.assert_close(ssim(a, b), ssim(b, a))
    with pytest.raises(ValueError, match="at least 11"):
        ssim(a[..., :8], b[..., :8])
    with pytest.raises(ValueError, match="shapes"):
        ssim(a, b[..., :12])


def test_sharpness_of_a_ramp_is_its_slope() -> None:
    ramp = torch.linspace(0, 1, 11, dtype=torch.float64).expand(1, 3, 11, 11)
    assert float(sharpness(ramp)) == pytest.approx(0.5 * 0.1)


def test_a_true_cross_fade_is_all_ghost() -> None:
    frames = cross_fade()
    torch.testing.assert_close(
        ghosting(frames[1:-1], frames[[0, -1]]), torch.ones(3, dtype=torch.float64)
    )


def test_a_repeated_end_is_no_ghost() -> None:
    frames = cross_fade()
    assert ghosting(frames[[0, 0, -1]], frames[[0, -1]]).tolist() == [0, 0, 0]


@given(offset=st.floats(0.05, 3.0), weight=st.floats(0.05, 0.95))
def test_ghosting_falls_with_what_is_new(offset: float, weight: float) -> None:
    a, b, c = torch.eye(12, dtype=torch.float64)[:3].reshape(3, 1, 3, 2, 2)
    frame = (1 - weight) * a + weight * b + offset * c
    nearer = 2 * min(weight, 1 - weight) ** 2
    exact = nearer / (nearer + offset**2)
    assert float(ghosting(frame, torch.cat([a, b]))) == pytest.approx(exact, rel=1e-9)


def test_pictures_of_a_known_strip() -> None:
    frames = cross_fade()
    scores = Pictures()(strip_of(frames, ends=frames[[0, -1]] + 0.1))
    assert scores["end PSNR"] == pytest.approx(20.0)
    assert scores["ghosting"] == pytest.approx(1.0)
    assert 0.7 < scores["sharpness"] < 1
    assert set(scores) == {q.name for q in Pictures().quantities}


def test_small_images_have_no_ssim() -> None:
    frames = cross_fade()[:, :, :10, :10]
    assert math.isnan(Pictures()(strip_of(frames))["end SSIM"])


def test_identical_ends_have_a_finite_fidelity() -> None:
    scores = Pictures()(strip_of(cross_fade()))
    assert scores["end PSNR"] == 100.0
    assert scores["end SSIM"] == pytest.approx(1.0)
    assert {q.name: q.better for q in Pictures().quantities} == {
        "end PSNR": Better.HIGHER,
        "end SSIM": Better.HIGHER,
        "sharpness": Better.HIGHER,
        "ghosting": Better.LOWER,
    }


def test_flat_frames_have_no_relative_sharpness() -> None:
    frames = torch.full((3, 3, 12, 12), 0.5)
    scores = Pictures()(Strip(frames, frames[:2], PooledPixels()(frames)))
    assert math.isnan(scores["sharpness"])
    assert scores["ghosting"] == 0
