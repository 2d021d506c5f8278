"""The structural similarity that the benchmark of extrapolation takes."""

from __future__ import annotations

import pytest
import torch

from benchmarks.ssim import ssim


def test_ssim() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.rand(2, 3, 24, 20, generator=generator)
    torch.testing.assert_close(ssim(a, a), torch.ones(2).double())
    flat, darker = torch.full_like(a, 0.6), torch.full_like(a, 0.3)
    expected = (2 * 0.18 + 1e-4) / (0.36 + 0.09 + 1e-4)
    torch.testing.assert_close(ssim(flat, darker), torch.full((2,), expected).double())
    noisy = (a + 0.2 * torch.randn(a.shape, generator=generator)).clamp(0, 1)
    assert bool((ssim(a, noisy) < 0.9).all())
    with pytest.raises(ValueError, match="one shape"):
        ssim(a, a[:1])
