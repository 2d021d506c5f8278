"""Which frames of a clip are wanted."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.clips import (
    ClipError,
    FrameNumber,
    LazyFrame,
    Reading,
    Seconds,
    TensorClip,
    open_clip,
)
from tests.clips.films import Coding, as_bytes, film, indices, ramp, same, times


def at(index: int, time: float) -> LazyFrame:
    return LazyFrame(index, time, torch.empty)


@pytest.fixture(scope="module")
def mp4(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("clips") / "ramp.mp4", as_bytes(ramp()))


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (Reading(stride=5), [0, 5, 10]),
        (Reading(start=FrameNumber(3), end=FrameNumber(6)), [3, 4, 5]),
        (Reading(start=Seconds(0.5), end=Seconds(0.8)), [5, 6, 7]),
        (Reading(fps=5), [0, 2, 4, 6, 8, 10]),
        (Reading(fps=4, stride=2, start=FrameNumber(1)), [1, 6, 11]),
    ],
)
def test_only_the_frames_that_are_wanted(mp4: Path, reading: Reading, expected: list[int]) -> None:
    for clip in (open_clip(mp4), TensorClip(ramp(), "ramp", 10.0)):
        assert [f.index for f in clip.frames(reading, same)] == expected
        assert clip.expected(reading) == len(expected)


def test_a_rate_follows_the_times_and_not_the_numbers(tmp_path: Path) -> None:
    stamps = [0, 1, 2, 3, 40, 41, 42, 43, 80, 81, 82, 200]
    clip = open_clip(film(tmp_path / "v.mp4", as_bytes(ramp()), Coding(rate=100, stamps=stamps)))
    assert times(clip, fps=2.5) == pytest.approx([0.0, 0.4, 0.8, 2.0])
    assert times(clip, start=Seconds(0.4), end=Seconds(0.81)) == pytest.approx(
        [0.4, 0.41, 0.42, 0.43, 0.8]
    )
    assert times(clip, start=FrameNumber(10)) == pytest.approx([0.82, 2.0])
    for reading in (Reading(fps=2.5), Reading(start=Seconds(0.4), end=Seconds(0.81), stride=2)):
        assert clip.expected(reading) == len(list(clip.frames(reading, same)))
    with pytest.raises(ClipError, match=r"5\.5 frames a second"):
        times(clip, fps=10)


@pytest.mark.parametrize("rate", [24, 25, 30, 48, 50, 60, 120])
def test_times_that_are_rounded_lose_no_frame(tmp_path: Path, rate: int) -> None:
    # Matroska rounds to milliseconds, so that frames come early by up to half of one.
    path = film(tmp_path / "r.mkv", as_bytes(ramp(40)), Coding("ffv1", rate=rate))
    clip = open_clip(path)
    assert clip.rate == pytest.approx(rate)
    assert indices(clip, fps=rate) == list(range(40))
    assert indices(clip, fps=rate / 2) == list(range(0, 40, 2))
    assert clip.notes == ()


@given(
    st.lists(st.floats(0.001, 2.0), min_size=1, max_size=60),
    st.floats(0.2, 20.0),
    st.integers(1, 4),
)
def test_at_most_one_frame_of_each_interval(steps: list[float], fps: float, stride: int) -> None:
    moments = [0.0]
    for step in steps:
        moments.append(moments[-1] + step)
    frames = [at(i, t) for i, t in enumerate(moments)]
    kept = list(Reading(fps=fps).select(frames, 0.0))
    slots = [int(frame.time * fps + 1e-3) for frame in kept]
    assert slots == sorted(set(slots))
    assert kept[0].index == 0
    assert list(Reading(fps=fps, stride=stride).select(frames, 0.0)) == kept[::stride]


def test_bad_wishes(mp4: Path) -> None:
    with pytest.raises(ClipError, match="cannot be made up"):
        indices(open_clip(mp4), fps=50)
    with pytest.raises(ValueError, match="stride"):
        Reading(stride=0)
    for fps in (-1.0, 0.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="fps"):
            Reading(fps=fps)
    for seconds in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="seconds"):
            Seconds(seconds)
    with pytest.raises(ValueError, match="frame -1"):
        FrameNumber(-1)
