"""Display matrices: the eight ways to put a frame upright."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import numpy as np
import pytest

from diffusion_geodesics.clips import open_clip
from diffusion_geodesics.clips._frames import Orientation
from tests.clips.films import FAULTS, HEIGHT, WIDTH, Coding, corner, film, first

UPRIGHT = [(a, 0, 0, d) for a, d in itertools.product((1, -1), repeat=2)]
ACROSS = [(0, b, c, 0) for b, c in itertools.product((1, -1), repeat=2)]


def with_matrix(path: Path, values: list[int]) -> Path:
    """An MP4 whose display matrix has these nine values."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes before the matrix
    data[at : at + 36] = struct.pack(">9i", *values)
    path.write_bytes(data)
    return path


def shown(pixels: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Where the matrix puts each pixel, from its definition."""
    height, width = pixels.shape[:2]
    q, p = np.mgrid[0:height, 0:width]
    x, y = a * p + c * q, b * p + d * q
    x, y = x - x.min(), y - y.min()
    result = np.zeros((int(y.max()) + 1, int(x.max()) + 1, 3), pixels.dtype)
    result[y, x] = pixels
    return result


@pytest.mark.parametrize("matrix", UPRIGHT + ACROSS)
def test_all_eight_are_followed(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    frames = corner()
    path = film(tmp_path / "a.mp4", frames, Coding("libx264rgb", "rgb24", options={"qp": "0"}))
    a, b, c, d = (0x10000 * value for value in matrix)
    clip = open_clip(with_matrix(path, [a, b, 0, c, d, 0, 0, 0, 0x40000000]))
    expected = shown(frames[0], *matrix)
    assert clip.size == expected.shape[:2]
    found = (first(clip) * 255).round().byte().permute(1, 2, 0).numpy()
    assert (found == expected).all()
    assert clip.notes == ()


@pytest.mark.parametrize(
    ("matrix", "word"),
    [
        ((46341, 46341, -46341, 46341), "no quarter"),
        ((0, 0, 0, 0), "shows nothing"),
        ((65536, 65536, 65536, 65536), "shows nothing"),
    ],
)
def test_other_matrices_are_said(
    tmp_path: Path, matrix: tuple[int, int, int, int], word: str
) -> None:
    path = film(tmp_path / "a.mp4", corner())
    a, b, c, d = matrix
    clip = open_clip(with_matrix(path, [a, b, 0, c, d, 0, 0, 0, 0x40000000]))
    assert any(word in note for note in clip.notes)
    assert sorted(clip.size) == [HEIGHT, WIDTH]


def test_a_frame_without_a_matrix_is_upright() -> None:
    import av

    assert Orientation.of(av.VideoFrame(16, 16, "rgb24")) == Orientation()


@pytest.mark.skipif(not FAULTS.is_dir(), reason="the shared faults are not here")
def test_the_fault_that_was_found() -> None:
    import av

    with av.open(str(FAULTS / "hflip.mp4")) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    found = first(open_clip(FAULTS / "hflip.mp4"))
    expected = np.ascontiguousarray(stored[:, ::-1]).transpose(2, 0, 1) / 255
    assert float(np.abs(found.numpy() - expected).mean()) < 0.02
