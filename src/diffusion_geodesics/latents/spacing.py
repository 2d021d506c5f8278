"""Where along a path the frames are taken."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.latents.profile import LatentProfile
from diffusion_geodesics.latents.settings import Spacing
from diffusion_geodesics.length import interpolate_chebyshev

FINE = 257
"""Points between which the perceptual length of a path is summed."""


def frame_times(
    spacing: Spacing, count: int, profile: LatentProfile, *, smooth: bool = False
) -> Float[Tensor, " frames"]:
    """Curve parameters of at least 2 frames, both ends included, increasing, with ``spacing`` equal
    between neighbours. ``smooth`` walks the share 3s² - 2s³ of it by the fraction s of the frames,
    slow at both ends.
    """
    even = torch.linspace(0, 1, count, dtype=torch.float64)
    if smooth:
        even = even.square() * (3 - 2 * even)
    if spacing is Spacing.PARAMETER or count == 2:
        return even
    if spacing is Spacing.METRIC:
        times = profile.metric.at_arc_length(even).reshape(-1)
    else:
        fine = torch.linspace(0, 1, FINE, dtype=torch.float64)
        walked = perceptual_length(profile, fine)
        if not float(walked[-1]) > _rounding(profile.clean):
            return even
        times = torch.from_numpy(np.interp(even * walked[-1], walked, fine))
    times[0], times[-1] = 0.0, 1.0
    return times


def perceptual_length(
    profile: LatentProfile, t: Float[Tensor, " times"]
) -> Float[Tensor, " times"]:
    """Distance of the denoised latents walked from the start to each curve parameter."""
    clean = interpolate_chebyshev(profile.t, profile.clean, t)
    steps = torch.linalg.vector_norm(clean[1:] - clean[:-1], dim=-1).cpu().double()
    return torch.cat([steps.new_zeros(1), steps.cumsum(0)])


def _rounding(clean: Float[Tensor, "time dim"]) -> float:
    """A length that rounding alone can give to a path of one denoised latent."""
    size = float(torch.linalg.vector_norm(clean, dim=-1).max())
    return 16 * FINE * torch.finfo(clean.dtype).eps * size
