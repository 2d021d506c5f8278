"""Times of videos, from the time stamps of every container."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion_geodesics.clips import ClipError, Seconds, VideoClip, open_clip
from tests.clips.films import FAULTS, Coding, as_bytes, film, indices, ramp, times

UNEVEN = [0, 1, 2, 3, 40, 41, 42, 80, 81, 120, 121, 122]
"""In hundredths of a second."""


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mp4", "mpeg4"),
        ("a.mov", "prores_ks"),
        ("a.mkv", "libx264"),
        ("a.mkv", "ffv1"),
        ("a.webm", "libvpx-vp9"),
        ("a.avi", "mpeg4"),
        ("a.flv", "libx264"),
        ("a.ts", "libx264"),
        ("a.wmv", "wmv2"),
    ],
)
def test_uneven_times_are_read_from_every_container(tmp_path: Path, name: str, codec: str) -> None:
    pixels = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    coding = Coding(codec, pixels, rate=100, stamps=UNEVEN)
    clip = open_clip(film(tmp_path / name, as_bytes(ramp()), coding))
    assert times(clip) == pytest.approx([u / 100 for u in UNEVEN], abs=0.002)
    assert clip.times == pytest.approx([u / 100 for u in UNEVEN], abs=0.002)
    assert clip.count == 12
    assert clip.rate == pytest.approx(11 / 1.22, rel=0.01)
    assert any("frame rate varies" in note and "0.39" in note for note in clip.notes)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", {"bf": "3"}),
        ("a.avi", "libx264", {"bf": "3"}),
        ("a.avi", "mpeg4", {"bf": "2"}),
        ("a.ts", "libx264", {"bf": "3"}),
        ("a.mkv", "libx264", {"bf": "3"}),
        ("a.flv", "libx264", {"bf": "3"}),
        ("a.mpg", "mpeg2video", {"bf": "2"}),
        ("a.ivf", "libvpx-vp9", {}),
        ("a.y4m", "rawvideo", {}),
    ],
)
def test_reordered_frames_come_in_order_at_even_times(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    coding = Coding(codec, rate=25, options=options)
    clip = open_clip(film(tmp_path / name, as_bytes(ramp()), coding))
    means = [float(p.load().mean()) for p in clip.pictures(None)]
    assert means == sorted(means)
    assert times(clip) == pytest.approx([i / 25 for i in range(12)])
    assert (clip.rate, clip.notes) == (25.0, ())


def test_a_stream_without_times_says_so(tmp_path: Path) -> None:
    clip = open_clip(film(tmp_path / "a.h264", as_bytes(ramp())))
    assert times(clip) == pytest.approx([i / 10 for i in range(12)])
    assert any("no times" in note and "10 a second" in note for note in clip.notes)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts", "a.flv"])
def test_a_late_start_is_not_cut_short(tmp_path: Path, name: str) -> None:
    coding = Coding(stamps=[500 + i for i in range(12)])
    clip = open_clip(film(tmp_path / name, as_bytes(ramp()), coding))
    assert times(clip) == pytest.approx([i / 10 for i in range(12)], abs=0.002)
    assert indices(clip, start=Seconds(0.5)) == [5, 6, 7, 8, 9, 10, 11]
    assert clip.notes == ()


def test_a_late_start_that_is_cut_short_is_seen(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (60, 32, 48, 3)).astype(np.uint8)
    coding = Coding("ffv1", rate=1, stamps=[50 + i for i in range(60)])
    path = film(tmp_path / "a.mkv", noise, coding)
    assert open_clip(path).count == 60
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ClipError, match="cut short"):
        open_clip(path)


def test_sound_that_goes_on_is_no_missing_picture(tmp_path: Path) -> None:
    for name in ("a.mkv", "a.mp4", "a.ts"):
        path = film(tmp_path / name, as_bytes(ramp()), Coding(sound=8.0))
        assert open_clip(path).count == 12


def test_an_edit_list_leaves_frames_out(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", as_bytes(ramp(40)), Coding(options={"bf": "0"}))
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4
    version, entries = data[at], struct.unpack(">I", data[at + 4 : at + 8])[0]
    assert (version, entries) == (0, 1)
    data[at + 8 : at + 12] = struct.pack(">I", 2000)  # of 4000 ms
    path.write_bytes(data)
    clip = open_clip(path)
    assert clip.count == pytest.approx(20, abs=2)
    assert times(clip) == pytest.approx([i / 10 for i in range(clip.count)])


def test_joined_recordings_follow_on_each_other(tmp_path: Path) -> None:
    a = film(tmp_path / "a.ts", as_bytes(ramp()), Coding("mpeg2video", rate=25))
    b = film(tmp_path / "b.ts", as_bytes(ramp()), Coding("mpeg2video", rate=25))
    both = tmp_path / "both.ts"
    both.write_bytes(a.read_bytes() + b.read_bytes())
    clip = open_clip(both)
    found = np.array(times(clip))
    assert len(found) >= 22
    assert bool((np.diff(found) > 0).all())
    assert float(found[-1]) == pytest.approx((len(found) - 1) / 25, abs=0.1)
    assert any("start again" in note for note in clip.notes)


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.ts", "long.avi"])
def test_a_late_part_is_the_same_frames_as_in_the_whole(tmp_path: Path, name: str) -> None:
    stamps = np.cumsum([3 + (i * 7) % 11 for i in range(150)]).tolist()
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    coding = Coding(codec, rate=100, stamps=stamps, options={"g": "12"})
    clip = VideoClip(film(tmp_path / name, as_bytes(ramp(150)), coding))
    whole = {p.index: (p.time, float(p.load().mean())) for p in clip.pictures(None)}
    assert len(whole) == 150
    for start in (2.5, 6.0, 9.9):
        wanted = [i for i, (time, _) in whole.items() if time >= start - 1e-6]
        late = list(clip.pictures(Seconds(start)))
        assert late[0].index <= wanted[0]
        found = {p.index: (p.time, float(p.load().mean())) for p in clip.pictures(Seconds(start))}
        assert {i: found[i] for i in wanted} == {i: whole[i] for i in wanted}


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the shared faults are not here")
def test_the_faults_that_were_found() -> None:
    plain, uneven = open_clip(FAULTS / "plain.mp4"), open_clip(FAULTS / "vfr.mp4")
    assert times(plain) == pytest.approx([i / 10 for i in range(12)])
    gaps = np.diff(times(uneven))
    assert (gaps.min(), gaps.max()) == (pytest.approx(0.01), pytest.approx(1.18))
    assert uneven.rate == pytest.approx(5.5)
    late = open_clip(FAULTS / "latestart.mkv")
    assert times(late) == pytest.approx(times(plain))
    images = [torch.stack([p.load().clone() for p in c.pictures(None)]) for c in (plain, late)]
    assert float((images[0] - images[1]).abs().max()) < 0.05
