"""sRGB and linear light."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.srgb import from_linear, to_linear


def test_linear_light_and_back() -> None:
    values = torch.linspace(0, 1, 301, dtype=torch.float64)
    assert_close(from_linear(to_linear(values)), values, rtol=0, atol=1e-7)
    # IEC 61966-2-1: half of the range is a fifth of the light
    assert to_linear(torch.tensor(0.5)).item() == pytest.approx(0.21404, abs=1e-5)
