"""A clip in windows, and what it is held against: its controls."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.path import Spline


class Variant(Enum):
    """The clip itself, and its controls."""

    CLIP = "clip"
    """The frames in their order."""
    SLOW = "half as fast"
    """Half of every window, with frames put in between by a spline."""
    FAST = "twice as fast"
    """Every second frame, in windows of as many frames, so twice as long."""
    REVERSED = "reversed"
    """Backwards: the same curve, so the same figures but for rounding."""
    SHUFFLED = "shuffled"
    """The frames of every window in random order, its two ends kept."""
    RANDOM = "random path"
    """A smooth random path with the same ends and length."""
    SLERP = "slerp"
    """The great arc between the same ends."""
    LERP = "lerp"
    """The straight line between the same ends, which leaves the sphere."""


@dataclass(frozen=True)
class Windowed:
    """Pieces of a sequence."""

    index: Int[Tensor, "k windows"]  # which points, shape (k, windows)
    points: Float[Tensor, "k windows dim"]  # shape (k, windows, dim)
    scores: Float[Tensor, "k windows dim"]  # there
    times: Float[Tensor, "k windows"]  # when each is passed, in mean intervals between frames

    def select(self, which: Tensor) -> Windowed:
        """Some of the windows."""
        parts = (self.index, self.points, self.scores, self.times)
        return Windowed(*(part[:, which] for part in parts))


def window_index(count: int, size: int, stride: int = 1) -> Int[Tensor, "k windows"]:
    """Indices of windows of ``size`` points, ``stride`` apart, that cover ``count`` points.

    Neighbours share an end; where that does not go even they overlap, all by about as much.
    No window where they do not fit.
    """
    span = (size - 1) * stride
    last = count - 1 - span
    if last < 0:
        return torch.empty(size, 0, dtype=torch.long)
    pieces = -(-(count - 1) // span) if last else 1
    starts = torch.linspace(0, last, pieces).round().long()
    return starts + stride * torch.arange(size)[:, None]


def windowed(
    points: Float[Tensor, "n dim"],
    scores: Float[Tensor, "n dim"],
    times: Float[Tensor, " n"],
    size: int,
    stride: int = 1,
) -> Windowed:
    """The windows of a sequence; with a stride, shown that many times as fast."""
    index = window_index(len(points), size, stride)
    return Windowed(index, points[index], scores[index], times[index] / stride)


def shuffled(source: Windowed, seed: int) -> Windowed:
    """The inner points of every window in an order of its own, seeded; the times stay."""
    k, count = source.index.shape
    generator = torch.Generator().manual_seed(seed)
    inner = torch.rand(k - 2, count, generator=generator).argsort(0) + 1
    order = torch.cat([torch.zeros(1, count).long(), inner, torch.full((1, count), k - 1)])
    which = torch.arange(count)
    return Windowed(
        source.index[order, which],
        source.points[order, which],
        source.scores[order, which],
        source.times,
    )


def slowed(
    points: Float[Tensor, "k windows dim"], sphere: Sphere
) -> Float[Tensor, "k windows dim"]:
    """The first half of every window with a point between neighbours, by a cubic spline."""
    t = torch.linspace(0, 0.5, len(points), dtype=torch.float64)
    half = Spline(points, sphere)(t)
    if len(points) % 2:  # the middle is a point of the clip
        half = torch.cat([half[:-1], points[len(points) // 2][None]])
    return torch.cat([points[:1], half[1:]])


def slowed_times(times: Float[Tensor, "k windows"]) -> Float[Tensor, "k windows"]:
    """When the points of :func:`slowed` are passed, at half the speed."""
    between = torch.stack([times[:-1], 0.5 * (times[:-1] + times[1:])], 1).flatten(0, 1)
    return 2 * torch.cat([between, times[-1:]])[: len(times)]
