r"""Features of images that know what is shown where.

The inner features of a diffusion network at a noised latent are close where two images show the
same thing (DIFT). They are read at several noise levels, over several draws of noise that all
images share, centred channel by channel, and put side by side. A few channels of a transformer are
far louder than all others and say little about the place (Gan et al., arXiv 2505.18584): they are
brought down.

References
----------
Tang et al., Emergent Correspondence from Image Diffusion, NeurIPS 2023, arXiv 2306.03881.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from diffusion_geodesics.diffusion import Condition, Cost, Denoiser

LEVELS = (0.25, 0.4, 0.6)
"""Noise levels, as fractions of the sampling steps: low ones place, high ones recognise."""
DRAWS = 4
"""Draws of noise at each level."""
ROWS = len(LEVELS) * DRAWS
"""Rows that an image costs."""
LOUD = 4.0
"""Times the median size of all channels that a channel may have; a U-Net's stay below 3."""
LARGEST = 64
"""Cells along an edge above which grids are averaged: all pairs of cells are compared."""


def look(
    denoiser: Denoiser,
    clean: Float[Tensor, "images dim"],
    condition: Condition,
    *,
    steps: int,
    seed: int = 0,
) -> tuple[tuple[Float[Tensor, "images channels height width"], ...], Cost]:
    """Features of images, on grids from coarse to fine.

    Args:
        denoiser: whose network.
        clean: latents of the images.
        condition: of one row, or one an image.
        steps: sampling steps from pure noise, which the levels are fractions of.
        seed: of the noise.

    Returns:
        Grids in float32 with mean 0 in each channel and mean square 1 in all together; none where
        the network has no features. And the cost.

    Cost: 12 rows an image; none where there are no features.
    """
    schedule = denoiser.schedule
    generator = torch.Generator().manual_seed(seed)
    levels: list[tuple[Tensor, ...]] = []
    cost = Cost()
    for level in LEVELS:
        timestep = schedule.timestep(steps, level)
        a, s = schedule.coefficients(timestep)
        noise = torch.randn(DRAWS, 1, clean.shape[1], generator=generator).to(clean)
        noisy = (a * clean + s * noise).flatten(0, 1)
        index = torch.arange(len(clean)).repeat(DRAWS)
        every = condition.expand(len(clean)).take(index)
        grids = denoiser.features(noisy, timestep, every)
        if not grids:
            return (), Cost()
        cost = cost + Cost(len(noisy), 1)
        levels.append(tuple(_standard(g.unflatten(0, (DRAWS, -1)).mean(0)) for g in grids))
    return tuple(torch.cat(found, 1) for found in zip(*levels, strict=True)), cost


def _standard(grid: Tensor) -> Tensor:
    grid = avg_pool2d(grid.float(), -(-max(grid.shape[2:]) // LARGEST))
    centred = grid - grid.mean((0, 2, 3), keepdim=True)
    size = centred.square().mean((0, 2, 3), keepdim=True).sqrt()
    typical = size[size > 0].median().nan_to_num(0.0)
    centred = centred * (LOUD * typical / size.clamp_min(1e-12)).clamp_max(1)
    return centred / centred.square().mean().sqrt().clamp_min(1e-12)
