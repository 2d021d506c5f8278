r"""What a strip is worth against the truth: distance, detour, coverage, drift.

With A, B the ends, m a true rendering between and b the cross-fade :math:`(1-w) A + w B` nearest
to m, the **detour** that a frame f makes is

.. math:: \frac{\langle f - b, m - b \rangle}{|m - b|^2},

1 for the truth and 0 for the cross-fade: what lies off the line between both images, and so what a
mere blend cannot have. Where m = b there is no detour to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.evidence.fitting import DENSE, surroundings
from benchmarks.evidence.pairs import TruePair
from diffusion_geodesics.diffusion import Codec
from diffusion_geodesics.images import psnr
from diffusion_geodesics.measures import (
    Better,
    Measure,
    PooledPixels,
    Quantity,
    Strip,
    equal_steps,
)
from training.portraits import render

MOST_DB = 60.0
"""Where PSNR ends: the rounding of frames to 256 levels."""
SAME = 0.1
"""Distance of a cross-fade to the truth, relative to that of both ends, under which they are the
same thing to `coverage`."""

# fmt: off
QUANTITIES = (
    Quantity(
        "truth", Better.HIGHER,
        "dB of the frames between to the true rendering at the same fraction of its path",
        "a cross-fade scores well: look at detour and ghosting as well",
    ),
    Quantity(
        "nearest truth", Better.HIGHER, "dB to the nearest true rendering between",
        "a repeated end scores well",
    ),
    Quantity(
        "detour", Better.HIGHER,
        "share of the way from the nearest cross-fade to the true frame that the frame makes",
        "one direction of many: what lies aside of it does not count",
    ),
    Quantity(
        "off manifold", Better.LOWER,
        "rms distance, in pooled pixels, to the nearest rendering of any factors, by optimisation",
        "a repeated end has none; the optimisation is local",
    ),
    Quantity(
        "coverage", Better.HIGHER,
        "share of the middle half of the change that frames cover which are nearer to the truth "
        "than to a cross-fade",
        "seven frames are few; where the truth is a cross-fade, all of them count",
    ),
    Quantity(
        "drift", Better.LOWER,
        "how far other factors leave the range of both ends, in standard deviations",
        "read off by optimisation, which finds something in a blend as well",
    ),
    Quantity(
        "detour to make", Better.NEITHER,
        "distance of the middle of the truth to the nearest cross-fade, relative to that of both "
        "ends",
    ),
)
# fmt: on


@final
@dataclass(frozen=True, eq=False)
class Truth(Measure):
    """Distances to the true frames in between, and what the frames show.

    Args:
        pair: with its factors.
        codec: the model's autoencoder, that all frames and so the truth come through, and whose
            latents strips are re-timed in.
    """

    pair: TruePair
    codec: Codec

    @property
    def quantities(self) -> tuple[Quantity, ...]:
        return QUANTITIES

    def __call__(self, strip: Strip) -> Mapping[str, float]:
        count, inner, look = len(strip.frames), strip.frames[1:-1], PooledPixels()
        way = true_way(self.pair, self.codec, strip.frames.shape[-1], count)
        looks, dense = look(inner), look(way.dense)
        ends = dense[[0, -1]]
        fit = surroundings(self.pair).fit(looks, dense)
        there = dense[(fit.position * (DENSE - 1)).round().long()]
        whole = _gap(ends[:1], ends[1:])
        counts = (_gap(looks, there) <= _gap(looks, cross_fade(looks, ends))) | (
            _gap(there, cross_fade(there, ends)) < SAME * whole
        )
        middle = dense[[DENSE // 2]]
        nearest = torch.stack([psnr(inner, d.expand_as(inner)) for d in way.dense]).amax(0)
        return {
            "truth": float(psnr(inner, way.true).clamp_max(MOST_DB).mean()),
            "nearest truth": float(nearest.clamp_max(MOST_DB).mean()),
            "detour": detour(looks, look(way.true), ends),
            "off manifold": float(fit.distance.mean()),
            "coverage": coverage(fit.position[counts], count),
            "drift": float(fit.drift.mean()),
            "detour to make": float(_gap(middle, cross_fade(middle, ends)) / whole),
        }


@final
@dataclass(frozen=True, eq=False)
class Way:
    """The truth between two heads, through an autoencoder.

    Args:
        dense: at equal parameters, (DENSE, 3, size, size).
        true: frames between at equal feature steps, (frames - 2, 3, size, size).
    """

    dense: Tensor
    true: Tensor


@lru_cache(maxsize=2)
def true_way(pair: TruePair, codec: Codec, size: int, count: int) -> Way:
    """Rendered once for all strips of a pair that have ``count`` frames."""
    even = torch.linspace(0, 1, DENSE, dtype=torch.float64)
    dense, latents = _through(codec, render(pair.between(even), size))
    t = equal_steps(even, latents, count)[1:-1]
    return Way(dense, _through(codec, render(pair.between(t), size))[0])


def _through(codec: Codec, images: Tensor) -> tuple[Tensor, Tensor]:
    """Images encoded and decoded, and their latents; a few at a time, which is faster."""
    latents = torch.cat([codec.encode(part) for part in images.split(8)])
    shown = torch.cat([codec.decode(part) for part in latents.split(8)])
    return shown.float().clamp(0, 1), latents


def cross_fade(
    looks: Float[Tensor, "frames pooled"], ends: Float[Tensor, "2 pooled"]
) -> Float[Tensor, "frames pooled"]:
    """The cross-fade of both ends that is nearest to each frame."""
    gap = ends[1] - ends[0]
    weight = ((looks - ends[0]) @ gap / gap.square().sum().clamp_min(1e-30)).clamp(0, 1)
    return ends[0] + weight[:, None] * gap


def detour(
    looks: Float[Tensor, "frames pooled"],
    true: Float[Tensor, "frames pooled"],
    ends: Float[Tensor, "2 pooled"],
) -> float:
    """The detour of the module's equation, of all frames together: both products are summed."""
    faded = cross_fade(true, ends)
    way = true - faded
    return float(((looks - faded) * way).sum() / way.square().sum().clamp_min(1e-30))


def coverage(position: Float[Tensor, " counted"], count: int) -> float:
    """Share of the middle half of [0, 1] that positions cover, of a strip of ``count`` frames.

    With g the longest stretch of [1/4, 3/4] between two neighbouring positions it is
    (1/2 - g) / (1/2 - 1/(n - 1)), within [0, 1]: 1 for n even steps, 0 for a jump across.
    """
    inside = position[(position > 0.25) & (position < 0.75)].double().sort().values
    marks = torch.cat([torch.tensor([0.25]).double(), inside, torch.tensor([0.75]).double()])
    gap = float(marks.diff().max())
    return min(1.0, max(0.0, (0.5 - gap) / (0.5 - 1 / (count - 1))))


def _gap(a: Tensor, b: Tensor) -> Tensor:
    """Distances, item by item."""
    return (a - b).norm(dim=1)
