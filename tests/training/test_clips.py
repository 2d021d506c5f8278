"""Rendered clips: the truth between frames, and laws of time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from diffusion_geodesics.clips import Reading, open_clip
from training.clips import Law, Motion, make_clip, moments, write_mp4


def test_rendered_clips_know_the_truth_in_between() -> None:
    clip = make_clip(0, Motion.TURN, Law.JERKY, frames=5)
    images = clip.images(32)
    torch.testing.assert_close(clip.truth(torch.tensor([0.0, 2.0, 4.0]), 32), images[[0, 2, 4]])
    half = clip.factors(0.5 * (clip.moments[1:2] + clip.moments[2:3])).yaw
    assert float(clip.factors(clip.moments).yaw[1]) < float(half)
    for law in Law:
        at = moments(law, 9)
        assert bool((at.diff() > 0).all())
    assert float(moments(Law.SLOW, 9)[-1] - moments(Law.SLOW, 9)[0]) == pytest.approx(0.25)
    with pytest.raises(ValueError, match="at least 2"):
        moments(Law.FAST, 1)


def test_a_film_is_written_as_it_is(tmp_path: Path) -> None:
    images = make_clip(0, Motion.LIGHT, Law.FAST, frames=6).images(64)
    path = tmp_path / "a.mp4"
    write_mp4(images, path, fps=10)
    frames = list(open_clip(path).frames(Reading(), lambda image: image))
    assert [frame.time for frame in frames] == pytest.approx([i / 10 for i in range(6)])
    read = torch.stack([frame.image for frame in frames])
    assert float((read - images).abs().mean()) < 0.02
