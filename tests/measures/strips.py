"""Strips of frames for the tests of measures."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion_geodesics.measures import PooledPixels, Strip


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Uniform in [0, 1)."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def strip_of(frames: Tensor, ends: Tensor | None = None) -> Strip:
    """A strip in pooled pixels, with its own first and last frame for ends."""
    return Strip(frames, frames[[0, -1]] if ends is None else ends, PooledPixels()(frames))


def cross_fade(count: int = 5, seed: int = 0) -> Tensor:
    """Mixtures of two images of noise."""
    a, b = noise(2, 3, 16, 20, seed=seed)
    t = torch.linspace(0, 1, count, dtype=torch.float64)[:, None, None, None]
    return (1 - t) * a + t * b
