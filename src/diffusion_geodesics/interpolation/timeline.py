"""Which frame of a film is where: a segment of the chain, and a curve parameter on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.latents.profile import LatentProfile
from diffusion_geodesics.latents.settings import Spacing
from diffusion_geodesics.latents.spacing import frame_times, perceptual_length


@final
@dataclass(frozen=True)
class Timeline:
    """The place of every frame.

    Args:
        segment: number of the segment between two keyframes.
        t: curve parameter on it, in [0, 1].
        keyframes: number of the frame at which each keyframe is shown.
    """

    segment: Int[Tensor, " frames"]
    t: Float[Tensor, " frames"]
    keyframes: tuple[int, ...]

    def on(self, segment: int) -> Float[Tensor, " some"]:
        """The curve parameters of the frames on a segment."""
        return self.t[self.segment == segment]

    @property
    def position(self) -> Float[Tensor, " frames"]:
        """Segments and curve parameter in one number, in [0, segments]."""
        return self.segment + self.t


def timeline(spacing: Spacing, frames: int, profiles: Sequence[LatentProfile]) -> Timeline:
    """Frames along a chain of segments, every keyframe shown once.

    The intervals between frames are shared out among the segments by their lengths, at least one
    each; on a segment they are equal.

    Args:
        spacing: what is equal between neighbouring frames.
        frames: number of frames in all.
        profiles: of the segments, in order.

    Raises:
        ValueError: fewer frames than keyframes.
    """
    count = len(profiles)
    if frames < count + 1:
        raise ValueError(
            f"got {frames} frames for {count + 1} images; expected at least one frame for each"
        )
    shares = _shares([_length(spacing, p) for p in profiles], frames - 1)
    segments: list[Tensor] = []
    times: list[Tensor] = []
    keyframes = [0]
    for number, (profile, intervals) in enumerate(zip(profiles, shares, strict=True)):
        t = frame_times(spacing, intervals + 1, profile)
        t = t if number == count - 1 else t[:-1]
        segments.append(torch.full((len(t),), number))
        times.append(t)
        keyframes.append(keyframes[-1] + intervals)
    return Timeline(torch.cat(segments), torch.cat(times), tuple(keyframes))


def _length(spacing: Spacing, profile: LatentProfile) -> float:
    if spacing is Spacing.PARAMETER:
        return 1.0
    if spacing is Spacing.METRIC:
        return float(profile.metric.distance)
    return float(perceptual_length(profile, torch.linspace(0, 1, 257, dtype=torch.float64))[-1])


def _shares(lengths: Sequence[float], intervals: int) -> list[int]:
    """Whole numbers in proportion to lengths, at least 1 each, with a given sum."""
    total = sum(lengths)
    even = total <= 0
    weights = [1 / len(lengths) if even else length / total for length in lengths]
    free = intervals - len(lengths)
    wanted = [weight * intervals - 1 for weight in weights]
    positive = [max(w, 0.0) for w in wanted]
    scale = free / sum(positive) if sum(positive) > 0 else 0.0
    exact = [w * scale for w in positive]
    shares = [int(e) for e in exact]
    order = sorted(range(len(exact)), key=lambda i: shares[i] - exact[i])
    for i in order[: free - sum(shares)]:
        shares[i] += 1
    return [1 + share for share in shares]
