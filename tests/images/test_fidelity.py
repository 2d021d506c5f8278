"""How close images are."""

from __future__ import annotations

import math

import pytest
import torch

from diffusion_geodesics.images import psnr


def test_psnr_is_in_decibels_image_by_image() -> None:
    a = torch.full((2, 3, 8, 8), 0.5)
    b = torch.stack([a[0] + 0.1, a[1]])
    value = psnr(a, b)
    assert float(value[0]) == pytest.approx(20.0, abs=1e-4)
    assert math.isinf(float(value[1]))
