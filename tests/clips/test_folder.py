"""Folders of pictures as clips."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_geodesics.clips import ClipError, FolderClip, Reading, open_clip
from diffusion_geodesics.clips.folder import natural
from tests.clips.films import FAULTS, as_bytes, ramp, same, times


def filled(folder: Path, count: int = 11) -> Path:
    folder.mkdir()
    for i, pixels in enumerate(as_bytes(ramp(count))):
        Image.fromarray(pixels).save(folder / f"f{i}.png")
    return folder


def test_pictures_come_in_natural_order_at_a_rate(tmp_path: Path) -> None:
    folder = filled(tmp_path / "frames")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_text("no picture")
    (folder / "folder.png").mkdir()
    clip = open_clip(folder, folder_rate=20)
    means = [float(f.image.mean()) for f in clip.frames(Reading(), same)]
    assert means == sorted(means)
    assert times(clip) == pytest.approx([i / 20 for i in range(11)])
    assert (clip.count, clip.rate, clip.notes, clip.name) == (11, 20.0, (), "frames")


@pytest.mark.parametrize("name", [b"caf\xe9", "猫 1".encode(), b"a:b", b"~x"])
def test_any_name_of_a_folder(tmp_path: Path, name: bytes) -> None:
    folder = filled(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)), 3)
    os.rename(folder / "f1.png", os.fsencode(folder) + b"/f1 \xe9.png")
    clip = open_clip(folder)
    assert len(times(clip)) == 3
    clip.name.encode("utf-8")


def test_numbers_sort_by_value() -> None:
    names = ["a2.png", "a10.png", "a1.png", "a٣.png", "a²1.png", "b.png"]
    found = [p.name for p in sorted(map(Path, names), key=natural)]
    assert found[:2] == ["a1.png", "a2.png"]
    assert found.index("a10.png") > found.index("a٣.png")


def test_transparency_is_laid_on_white_and_said(tmp_path: Path) -> None:
    folder = filled(tmp_path / "frames", 2)
    rgba = np.full((32, 48, 4), 51, dtype=np.uint8)
    Image.fromarray(rgba).save(folder / "f0.png")
    clip = FolderClip(folder)
    image = next(iter(clip.frames(Reading(), same))).image
    assert float(image[0, 0, 0]) == pytest.approx(0.2 * 0.2 + 0.8, abs=1e-5)
    assert any("laid on white" in note for note in clip.notes)


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ClipError, match="no pictures"):
        FolderClip(tmp_path / "nothing")
    with pytest.raises(ClipError, match="one picture"):
        FolderClip(filled(tmp_path / "one", 1))
    with pytest.raises(ClipError, match="cannot be read"):
        FolderClip(tmp_path / "absent")
    with pytest.raises(ValueError, match="rate"):
        FolderClip(tmp_path, rate=0.0)
    unequal = filled(tmp_path / "unequal", 3)
    Image.new("RGB", (64, 64)).save(unequal / "f2.png")
    with pytest.raises(ClipError, match="f2.png is 64x64, the first frame 48x32"):
        times(FolderClip(unequal))
    damaged = filled(tmp_path / "damaged", 3)
    (damaged / "f1.png").write_bytes(b"no picture")
    with pytest.raises(ClipError, match="f1.png is not an image"):
        times(FolderClip(damaged))


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the shared faults are not here")
def test_the_folder_that_was_given() -> None:
    names = [file.name for file in FolderClip(FAULTS / "natural").files]
    assert names == ["1.png", "2.png", "3.png", "10.png", "11.png", "20.png"]
