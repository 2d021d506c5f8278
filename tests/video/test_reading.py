"""Clips as latents: streamed, cut into shots, with no full-size pixels kept."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.clips import ClipError, FrameNumber, Reading, Seconds, TensorClip
from diffusion_geodesics.latents.encode import ModelParts
from diffusion_geodesics.runtime.run import Event, Run
from diffusion_geodesics.runtime.settings import SettingsError
from diffusion_geodesics.video.reading import (
    EncodedShot,
    encoded_shots,
    reading_of,
    thumbnail,
)
from diffusion_geodesics.video.settings import ReadingSettings, VideoSettings
from tests.video.scenes import MODEL, moving


def shots(frames: torch.Tensor, run: Run | None = None, **settings: object) -> list[EncodedShot]:
    run = run or Run()
    parts = ModelParts.of(run, MODEL, (16, 16))
    chosen = VideoSettings.of(**{"window": 5, "half": 1} | settings)
    return list(encoded_shots(run, TensorClip(frames, "clip"), parts, chosen, (16, 16)))


def test_every_frame_is_encoded_in_order_in_batches() -> None:
    frames = moving(20)
    (shot,) = shots(frames)
    assert shot.frames == list(range(20))
    assert shot.times == pytest.approx([k / 25 for k in range(20)])
    assert [len(c) for c in shot.clean] == [16, 4]
    assert_close(torch.cat(shot.clean), 2 * frames.flatten(1) - 1)
    assert len(torch.cat(shot.psnr)) == 2
    assert shot.ended == ""
    assert_close(torch.stack(shot.thumbnails), frames)


def test_a_cut_and_a_length_end_a_shot() -> None:
    clip = torch.cat([0.2 * moving(7), 1 - 0.2 * moving(9, seed=5)])
    first, second = shots(clip)
    assert first.frames == list(range(7))
    assert first.ended == "a cut before frame 7"
    assert second.frames == list(range(7, 16))
    assert [s.frames for s in shots(clip, cuts=False)] == [list(range(16))]
    parts = shots(clip, longest=6)
    assert [s.frames[0] for s in parts] == [0, 6, 7, 13]
    assert "as many as are analysed at once" in parts[0].ended


def test_a_range_a_stride_and_a_rate_choose_frames() -> None:
    frames = moving(12)
    assert shots(frames, start="3f", end="9f")[0].frames == [3, 4, 5, 6, 7, 8]
    assert shots(frames, stride=3)[0].frames == [0, 3, 6, 9]
    assert shots(frames, start="0.2")[0].frames[0] == 5
    assert shots(frames, fps=12.5)[0].frames == [0, 2, 4, 6, 8, 10]
    with pytest.raises(ClipError, match="no frame in the range that was asked for; it has 12"):
        shots(frames, start="9")


def test_places_in_a_clip_are_seconds_or_frames() -> None:
    assert reading_of(ReadingSettings()) == Reading()
    found = reading_of(ReadingSettings(start="2.5s", end="60f", stride=2, fps=5))
    assert found == Reading(5, Seconds(2.5), FrameNumber(60), 2)
    assert reading_of(ReadingSettings(start="7")) == Reading(start=Seconds(7))
    with pytest.raises(SettingsError, match=r"start is 'soon'.*seconds such as 2\.5"):
        VideoSettings.of(start="soon")


def test_progress_of_the_reading_is_reported() -> None:
    events: list[Event] = []
    shots(moving(6), Run(events.append))
    read = [e for e in events if e.stage == "read"]
    assert [e.done for e in read if e.detail] == list(range(7))
    assert {e.total for e in read} == {6}


def test_thumbnails_are_no_higher_than_strips_show_them() -> None:
    image = torch.rand(3, 400, 300, generator=torch.Generator().manual_seed(0))
    small = thumbnail(image)
    assert small.shape == (3, 192, 144)
    assert float(small.mean()) == pytest.approx(float(image.mean()), abs=0.01)
    assert thumbnail(image[:, :192]).shape == (3, 192, 300)
