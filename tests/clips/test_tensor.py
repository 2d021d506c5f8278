"""Frames in memory as clips."""

from __future__ import annotations

import pytest
import torch

from diffusion_geodesics.clips import ClipError, TensorClip
from tests.clips.films import ramp, times


def test_frames_are_evenly_spaced() -> None:
    clip = TensorClip(ramp(5), "ramp", 20.0)
    assert times(clip) == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])
    assert (clip.count, clip.size, clip.rate) == (5, (32, 48), 20.0)
    assert torch.equal(torch.stack([p.load() for p in clip.pictures(None)]), ramp(5))


def test_what_is_no_clip_is_refused() -> None:
    with pytest.raises(ClipError, match="a clip needs several"):
        TensorClip(ramp(1))
    with pytest.raises(ClipError, match="at least 16"):
        TensorClip(torch.zeros(4, 3, 8, 8))
    with pytest.raises(ValueError, match="rate"):
        TensorClip(ramp(3), rate=0.0)


@pytest.mark.parametrize("frame", [255 * ramp(3), 2 * ramp(3) - 1, ramp(3) * float("nan")])
def test_values_out_of_range_are_refused(frame: torch.Tensor) -> None:
    with pytest.raises(ClipError, match=r"clip: the tensor has values"):
        times(TensorClip(frame))
