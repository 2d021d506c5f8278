r"""Features of images from the inner activations of a diffusion network.

The activations of a diffusion network at a noised latent are similar where two images show the same
thing (DIFT). A clean latent :math:`z` is noised to several levels,
:math:`x = a z + \sigma \varepsilon`, with several draws of :math:`\varepsilon` that all images
share. Activations are averaged over the draws, centred channel by channel, and the levels are
concatenated. A few channels of a transformer are far larger than all others and carry little
information about the position (Gan et al.); they are scaled down.

References:
    Tang, Jia, Wang, Phoo and Hariharan. Emergent Correspondence from Image Diffusion. NeurIPS 2023,
    arXiv 2306.03881. Gan et al., arXiv 2505.18584 (massive activations).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool2d

from diffusion_geodesics.diffusion import Condition, Denoiser


@final
@dataclass(frozen=True)
class FeatureSettings:
    r"""How features are read from the network.

    Args:
        levels: noise levels, as fractions of the sampling steps in (0, 1]. Low noise localises,
            high noise captures semantics. Source: DIFT uses one level, 0.26 for semantic and 0 for
            geometric correspondence; these three were chosen on rendered portraits.
        draws: of noise at each level, averaged. Source: DIFT averages 8; here 4 at three levels.
        max_channel_ratio: largest root mean square of a channel, in medians over all channels;
            larger channels are scaled down to it. Channels of U-Nets stay below 3.
        max_cells: along the longer edge; larger grids are averaged down, since every cell is
            compared with many others.
    """

    levels: tuple[float, ...] = (0.25, 0.4, 0.6)
    draws: int = 4
    max_channel_ratio: float = 4.0
    max_cells: int = 64

    def nfe(self, images: int) -> int:
        """Network function evaluations for a number of images, 12 an image by default."""
        return images * len(self.levels) * self.draws

    @property
    def batches(self) -> int:
        """Batches that the evaluations come in: one a level, however many images there are."""
        return len(self.levels)


def extract_features(
    denoiser: Denoiser,
    clean: Float[Tensor, "images dim"],
    condition: Condition,
    *,
    steps: int,
    seed: int = 0,
    settings: FeatureSettings = FeatureSettings(),
) -> tuple[Float[Tensor, "images _ _ _"], ...]:
    """Features of images, on grids (images, channels, height, width) from coarse to fine, in
    float32. Each channel has mean 0 and all together mean square 1, over all images. None, at no
    cost, if the network offers no features.

    Args:
        clean: latents of the images, without noise.
        condition: one for all images, or one for each.
        steps: sampling steps from pure noise, which the noise levels are fractions of.

    Cost:
        ``settings.nfe(images)`` network function evaluations in ``settings.batches`` batches.
    """
    schedule = denoiser.schedule
    generator = torch.Generator().manual_seed(seed)
    levels: list[tuple[Tensor, ...]] = []
    for level in settings.levels:
        timestep = schedule.timestep(steps, level)
        a, sigma = schedule.coefficients(timestep)
        shape = (settings.draws, 1, clean.shape[1])
        noise = torch.randn(shape, generator=generator).to(clean)
        noisy = (a * clean + sigma * noise).flatten(0, 1)
        index = torch.arange(len(clean)).repeat(settings.draws)
        conditions = condition.expand(len(clean)).take(index)
        grids = denoiser.features(noisy, timestep, conditions)
        if not grids:
            return ()
        means = (g.unflatten(0, (settings.draws, -1)).mean(0) for g in grids)
        levels.append(tuple(_standardise(g, settings) for g in means))
    return tuple(torch.cat(found, 1) for found in zip(*levels, strict=True))


def _standardise(
    grid: Float[Tensor, "images channels _ _"], settings: FeatureSettings
) -> Float[Tensor, "images channels _ _"]:
    """Centre every channel, limit large channels, scale to mean square 1."""
    grid = avg_pool2d(grid.float(), -(-max(grid.shape[2:]) // settings.max_cells))
    centred = grid - grid.mean((0, 2, 3), keepdim=True)
    size = centred.square().mean((0, 2, 3), keepdim=True).sqrt()
    typical = size[size > 0].median().nan_to_num(0.0)
    largest = settings.max_channel_ratio * typical
    centred = centred * (largest / size.clamp_min(1e-12)).clamp_max(1)
    return centred / centred.square().mean().sqrt().clamp_min(1e-12)
