r"""Equal steps: frames re-timed to equal feature arc length, before anything is compared.

Pacing alone can win: frames crowded towards the ends are all natural, and so is a jump from one to
the other. With features φ of the frames, the arc length :math:`\sum |\phi_{i+1} - \phi_i|` is
measured on a dense strip, and the frames are taken where it reaches equal fractions.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from diffusion_geodesics.measures.measure import Better, Images, Measure, Quantity, Strip

POOLED = 32


class Features(ABC):
    """What images are compared in."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What they are, in words."""

    @abstractmethod
    def __call__(self, images: Images) -> Float[Tensor, "images coordinates"]:
        """Features of images with values in [0, 1]."""


@final
@dataclass(frozen=True)
class PooledPixels(Features):
    """The image averaged to at most 32 x 32 pixels: needs no model."""

    @property
    def name(self) -> str:
        return f"pixels averaged to {POOLED}x{POOLED}"

    def __call__(self, images: Images) -> Float[Tensor, "images coordinates"]:
        height, width = (min(POOLED, n) for n in images.shape[-2:])
        return adaptive_avg_pool2d(images, (height, width)).flatten(1)


def walked(features: Float[Tensor, "frames coordinates"]) -> Float[np.ndarray, " frames"]:
    """Arc length from the first frame to each."""
    steps = torch.linalg.vector_norm(features.double().diff(dim=0), dim=1).cpu().numpy()
    return np.concatenate([[0.0], steps.cumsum()])


def equal_steps(
    t: Float[Tensor, " dense"], features: Float[Tensor, "dense coordinates"], count: int
) -> Float[Tensor, " frames"]:
    """Curve parameters at which ``count`` equal fractions of the feature arc length are reached;
    the first and the last are kept.

    Raises:
        ValueError: fewer than 2 frames.
    """
    if count < 2 or len(t) < 2:
        raise ValueError(f"got {count} frames of {len(t)}; expected at least 2")
    arc = walked(features)
    if not arc[-1] > 0:
        return torch.linspace(float(t[0]), float(t[-1]), count, dtype=torch.float64)
    times = np.interp(np.linspace(0, arc[-1], count), arc, t.double().cpu().numpy())
    times[0], times[-1] = float(t[0]), float(t[-1])
    return torch.from_numpy(times)


def nearest_frames(features: Float[Tensor, "dense coordinates"], count: int) -> list[int]:
    """Numbers of the frames nearest to equal fractions of the arc length, for a strip that cannot
    be rendered anew. Frames repeat where there are too few: nothing is blended."""
    arc = walked(features)
    wanted = np.linspace(0, arc[-1], count)
    found = np.abs(arc[None] - wanted[:, None]).argmin(1)
    found[0], found[-1] = 0, len(arc) - 1
    return [int(i) for i in found]


@final
@dataclass(frozen=True)
class FeatureLength(Measure):
    """Length of the strip in its features, and how even its steps are."""

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return (
            Quantity(
                "feature length",
                Better.NEITHER,
                "feature arc length over the distance of both ends; 1 is the straight line",
                "the truth is a detour, and so is an odd path: neither is better",
            ),
            Quantity(
                "largest step",
                Better.LOWER,
                "largest feature step over the mean one; large where the path jumps",
            ),
        )

    def __call__(self, strip: Strip) -> Mapping[str, float]:
        arc = walked(strip.features)
        direct = float(torch.linalg.vector_norm(strip.features[-1] - strip.features[0]))
        if not arc[-1] > 0 or not direct > 0:
            return {"feature length": math.nan, "largest step": math.nan}
        steps = np.diff(arc)
        return {
            "feature length": float(arc[-1]) / direct,
            "largest step": float(steps.max() / steps.mean()),
        }
