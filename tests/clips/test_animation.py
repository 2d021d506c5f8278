"""Animations that Pillow reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from diffusion_geodesics.clips import AnimatedImage, ClipError, Reading, open_clip
from tests.clips.films import FAULTS, as_bytes, first, ramp, same, times

SUFFIXES = [".gif", ".webp", ".png"] + [".avif"] * (".avif" in Image.registered_extensions())


def animation(path: Path, frames: np.ndarray, **options: Any) -> Path:
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_delays_are_followed_and_uneven_ones_said(tmp_path: Path, suffix: str) -> None:
    frames = as_bytes(ramp(4))
    path = animation(tmp_path / f"a{suffix}", frames, duration=[100, 200, 50, 50])
    clip = open_clip(path)
    assert times(clip) == pytest.approx([0.0, 0.1, 0.3, 0.35])
    assert clip.rate == pytest.approx(3 / 0.35)
    assert any("frame rate varies" in note for note in clip.notes)
    even = open_clip(animation(tmp_path / f"b{suffix}", frames, duration=40))
    assert times(even) == pytest.approx([0.0, 0.04, 0.08, 0.12])
    assert (even.rate, even.notes) == (pytest.approx(25.0), ())


def test_delays_that_players_do_not_follow(tmp_path: Path) -> None:
    clip = open_clip(animation(tmp_path / "a.gif", as_bytes(ramp(4)), duration=10))
    assert times(clip) == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("suffix", [".webp", ".png"])
def test_transparency_is_laid_on_white_and_said(tmp_path: Path, suffix: str) -> None:
    frames = np.zeros((3, 32, 32, 4), dtype=np.uint8)
    frames[..., 0], frames[..., 3] = 255, 51
    frames[1:, :4, :4, 2] = 99  # else the frames would be one
    frames[2, :4, :4, 1] = 99
    path = animation(
        tmp_path / f"a{suffix}", frames, duration=40, lossless=True, disposal=1, blend=0
    )
    clip = open_clip(path)
    colour = first(clip)[:, -1, -1]
    torch.testing.assert_close(colour, torch.tensor([1.0, 0.8, 0.8]), atol=0.01, rtol=0)
    assert any("laid on white" in note for note in clip.notes)


def test_what_is_no_animation_is_refused(tmp_path: Path) -> None:
    still = tmp_path / "still.gif"
    Image.new("RGB", (32, 32)).save(still)
    with pytest.raises(ClipError, match="still image"):
        AnimatedImage(still)
    text = tmp_path / "text.gif"
    text.write_text("no picture")
    with pytest.raises(ClipError, match="no animation"):
        AnimatedImage(text)
    (tmp_path / "empty.gif").touch()
    with pytest.raises(ClipError, match="is empty"):
        AnimatedImage(tmp_path / "empty.gif")
    with pytest.raises(ClipError, match="is a folder"):
        AnimatedImage(tmp_path)
    small = animation(tmp_path / "small.gif", as_bytes(ramp(3, 8, 8)))
    with pytest.raises(ClipError, match="at least 16"):
        AnimatedImage(small)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_animation_that_is_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (5, 32, 32, 3)).astype(np.uint8)
    path = animation(tmp_path / f"a{suffix}", noise, duration=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ClipError, match=f"a{suffix}"):
        list(open_clip(path).frames(Reading(), same))


def test_a_file_that_is_damaged_after_it_was_opened(tmp_path: Path) -> None:
    path = animation(tmp_path / "a.gif", as_bytes(ramp(6)), duration=40)
    clip = open_clip(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ClipError, match="damaged"):
        list(clip.frames(Reading(), same))


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the shared faults are not here")
def test_the_faults_that_were_found() -> None:
    with pytest.raises(ClipError, match="damaged or cut short"):
        open_clip(FAULTS / "truncated_index.gif")
    with pytest.raises(ClipError, match="megapixels"):
        open_clip(FAULTS / "huge_frame.gif")
    with pytest.raises(ClipError, match="damaged or cut short"):
        open_clip(FAULTS / "damaged.avif")
