"""Two images of the Gaussian model at a noise level, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from diffusion_geodesics.comparison.compare import context_of
from diffusion_geodesics.comparison.method import Context
from diffusion_geodesics.comparison.pairs import Pair
from diffusion_geodesics.comparison.rendered import eight_bits
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.images import save_png
from tests.gaussian_model import gaussian_model, picture

MODEL = gaussian_model()
QUICK = ComparisonSettings.of(steps=6, level=0.5, refinements=6, frames=3)
PROMPTED = QUICK.updated(prompt=("ab", "cd"))


def pair(name: str = "one", first: int = 1) -> Pair:
    return Pair(name, picture(first), picture(first + 1))


def context(settings: ComparisonSettings = PROMPTED) -> Context:
    return context_of(MODEL, pair(), settings)


def fade(a: Tensor, b: Tensor, count: int = 12) -> Tensor:
    """A cross-fade."""
    return torch.lerp(a, b, torch.linspace(0, 1, count)[:, None, None, None])


def write_strip(folder: Path, frames: Tensor) -> None:
    """Frames as files, in 256 levels."""
    folder.mkdir(parents=True)
    for i, frame in enumerate(eight_bits(frames)):
        save_png(folder / f"frame{i}.png", frame)
