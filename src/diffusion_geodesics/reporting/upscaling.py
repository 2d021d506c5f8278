"""Larger frames for a film: by Lanczos resampling, or by anything that can be called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import torch
from PIL.Image import Resampling
from torch import Tensor

from diffusion_geodesics.reporting.pixels import Frames, Larger, to_image, to_pixels

Upscaler = Callable[[Tensor], Tensor]
"""Takes frames of shape (n, channels, height, width) in [0, 1] and returns as many larger ones with
the same channels: RGB, and alpha where there is one. It is given a few frames at a time."""


@final
@dataclass(frozen=True)
class Lanczos:
    """Lanczos resampling by a whole factor; colours are weighted by alpha."""

    factor: int = 1  # 1 to 16; 1 leaves frames as they are

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= 16:
            raise ValueError(f"factor must be 1 to 16, got {self.factor}")

    def __call__(self, frames: Frames) -> Larger:
        return _enlarged(frames, self.factor)


@final
@dataclass(frozen=True)
class LanczosToHeight:
    """Lanczos resampling by the smallest whole factor that gives at least a height."""

    height: int = 384  # in pixels, at least 1; frames that are as high already stay as they are

    def __post_init__(self) -> None:
        if self.height < 1:
            raise ValueError(f"height must be at least 1 pixel, got {self.height}")

    def __call__(self, frames: Frames) -> Larger:
        return _enlarged(frames, -(-self.height // frames.shape[2]))


def _enlarged(frames: Frames, factor: int) -> Larger:
    if factor == 1:
        return frames
    size = (frames.shape[3] * factor, frames.shape[2] * factor)
    return torch.stack([to_pixels(to_image(f).resize(size, Resampling.LANCZOS)) for f in frames])
