"""Cuts between shots."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.clips import CutRule, Reading, TensorClip, open_clip, shots
from diffusion_geodesics.framing import fit
from tests.clips.films import CLIPS, same


def cuts(images: Tensor) -> list[int]:
    stream = TensorClip(images).frames(Reading(), same)
    return [s.frame.index for s in shots(stream, CutRule()) if s.cut]


def test_cuts_are_found_and_motion_is_none() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.rand(1, 3, 64, 64, generator=generator) * 0.5
    second = 1 - 0.3 * torch.rand(1, 3, 64, 64, generator=generator)
    still = torch.cat([first.expand(10, -1, -1, -1), second.expand(9, -1, -1, -1)])
    assert cuts(still) == [10]
    assert cuts(torch.cat([still, first.expand(3, -1, -1, -1)])) == [10, 19]
    fade = torch.lerp(first, second, torch.linspace(0, 1, 12)[:, None, None, None])
    assert cuts(fade) == []
    moving = torch.stack([first[0].roll(6 * i, 2) for i in range(20)])
    assert cuts(moving) == []
    assert [s.cut for s in shots(TensorClip(still).frames(Reading(), same), None)] == [False] * 19


@pytest.mark.slow
@pytest.mark.skipif(not CLIPS.is_dir(), reason="the shared clips are not here")
def test_the_one_cut_of_the_shared_clips() -> None:
    found: dict[str, list[int]] = {}
    for path in sorted(CLIPS.glob("*.mp4")):
        frames = open_clip(path).frames(Reading(), lambda x: fit(x, 64, 64).image)
        found[path.name] = [s.frame.index for s in shots(frames, CutRule()) if s.cut]
    assert {name: at for name, at in found.items() if at} == {"torchcodec_nasa_13013.mp4": [240]}
