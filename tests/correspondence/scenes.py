"""Random scenes of known displacement, and a model that is a function of the latent."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from diffusion_geodesics.models import FunctionModel, from_denoiser


def smooth(channels: int, height: int, width: int, seed: int = 0, over: int = 3) -> Tensor:
    """Random values that change within about as many pixels."""
    shape = (1, channels, height + over - 1, width + over - 1)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    grid = avg_pool2d(noise, over, stride=1)[0]
    return grid / grid.std()


def shifted(big: Tensor, right: int, down: int) -> Tensor:
    """Two windows of one grid: what the first shows lies further right and down in the second."""
    height, width = big.shape[1] - down, big.shape[2] - right
    return torch.stack([big[:, down:, right:], big[:, :height, :width]])


def scene(size: tuple[int, int], right: int, down: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two images and their features, one cell for 4 x 4 pixels, shifted by whole cells."""
    height, width = size[0] // 4 + down, size[1] // 4 + right
    cells = smooth(48, height, width, seed)
    picture = smooth(3, 4 * height, 4 * width, seed=seed + 1, over=7)
    images = (0.5 + 0.2 * shifted(picture, 4 * right, 4 * down)).clamp(0, 1)
    return images, shifted(cells, right, down)


def middle(field: Tensor) -> Tensor:
    """Displacements away from the border, where both images have values."""
    height, width = field.shape[:2]
    return field[height // 4 : -height // 4, width // 4 : -width // 4].reshape(-1, 2)


def coarse_and_fine(x: Tensor, sigma: float, text: Tensor) -> tuple[Tensor, Tensor]:
    """Features of a picture on two grids, the same at any noise."""
    return avg_pool2d(x, 4), torch.cat([x, text[:, :, None, None] + 0 * x], 1)


def posterior_mean(x: Tensor, sigma: float, text: Tensor) -> Tensor:
    """Of N(0, 1) data."""
    return x / (1 + sigma**2)


def length_of(text: str) -> Tensor:
    """A prompt's embedding: its number of characters."""
    return torch.full((1,), float(len(text)))


def function_model(features: bool = True) -> FunctionModel:
    return from_denoiser(
        posterior_mean,
        (3, 16, 24),
        embed=length_of,
        features=coarse_and_fine if features else None,
    )


def latents(model: FunctionModel, count: int = 2) -> Tensor:
    noise = torch.rand(count, 3, 4, 6, generator=torch.Generator().manual_seed(2))
    images = interpolate(noise, size=(16, 24), mode="bicubic").clamp(0, 1)
    return model.codec(16, 24).encode(images).double()
