"""Where along a path the frames are taken."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.apps.settings import Pace
from diffusion_geodesics.apps.track import Track
from diffusion_geodesics.length import Profile, interpolate_chebyshev


def frame_times(pace: Pace, count: int, track: Track, profile: Profile) -> Float[Tensor, " frames"]:
    """Curve parameters of ``count`` frames, both ends included, strictly increasing.

    Args:
        pace: what is equal between neighbours.
        count: number of frames, at least 2.
        track: the path's quantities, for perceptual steps.
        profile: the path measured in the metric, for metric steps.
    """
    even = torch.linspace(0, 1, count, dtype=torch.float64)
    if pace is Pace.PARAMETER or count == 2:
        return even
    if pace is Pace.METRIC:
        times = profile.at_arc_length(even).reshape(-1)
    else:
        fine = torch.linspace(0, 1, 257, dtype=torch.float64)
        clean = interpolate_chebyshev(track.t, track.clean, fine)
        steps = torch.linalg.vector_norm(clean[1:] - clean[:-1], dim=-1).cpu().double()
        walked = torch.cat([steps.new_zeros(1), steps.cumsum(0)])
        if not float(walked[-1]) > 0:
            return even
        times = torch.from_numpy(np.interp(even * walked[-1], walked, fine))
    times[0], times[-1] = 0.0, 1.0
    return times
