"""Sizes that are refused before they are decoded, and the memory that reading takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_geodesics.images import ImageError, read_image
from tests.images.samples import saved


def refusal(source: Path | Image.Image) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(source)
    return str(caught.value)


def test_sizes_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    assert "1x1 pixels; expected at least 16" in refusal(Image.new("RGB", (1, 1)))
    assert "15x400" in refusal(Image.new("RGB", (15, 400)))
    bomb = saved(tmp_path, Image.new("1", (10_001, 10_000)), "bomb.png")
    assert "more than 100 megapixels" in refusal(bomb)
    worse = saved(tmp_path, Image.new("1", (20_000, 20_000)), "worse.png")
    assert "more than 100 megapixels" in refusal(worse)


def test_a_large_picture_inside_an_icon_is_refused(tmp_path: Path) -> None:
    inner = saved(tmp_path, Image.new("1", (9_500, 9_500)), "inner.png").read_bytes()
    icon = tmp_path / "bomb.ico"
    header = b"\0\0\1\0\1\0" + b"\x40\x40\0\0\1\0\x20\0"
    icon.write_bytes(header + len(inner).to_bytes(4, "little") + b"\x16\0\0\0" + inner)
    assert "megapixels" in refusal(icon)


@pytest.mark.parametrize(
    ("name", "size", "options"),
    [
        ("a.jp2", (6_100, 6_100), {}),
        ("a.webp", (5_500, 5_500), {"method": 0}),
        ("a.jpg", (8_500, 8_500), {"progressive": True}),
    ],
)
def test_formats_that_take_more_memory_have_lower_limits(
    tmp_path: Path, name: str, size: tuple[int, int], options: dict[str, object]
) -> None:
    path = saved(tmp_path, Image.new("L", size), name, **options)
    assert "GB to read" in refusal(path)


PEAK = """
import json, sys
from diffusion_geodesics.images import read_image
shape = tuple(read_image(sys.argv[1]).pixels.shape)
lines = open("/proc/self/status").read().splitlines()
print(json.dumps([shape, int(next(l for l in lines if l.startswith("VmHWM")).split()[1]) * 1024]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mode", "size", "options"),
    [
        ("rgb.png", "RGB", (10_000, 10_000), {"compress_level": 1}),
        ("rgb.jpg", "RGB", (10_000, 10_000), {}),
        ("progressive.jpg", "RGB", (8_300, 8_300), {"progressive": True, "subsampling": 0}),
        ("cmyk.jpg", "CMYK", (10_000, 10_000), {}),
        ("palette.png", "P", (9_500, 9_500), {"compress_level": 1}),
        ("rgba.png", "RGBA", (7_100, 7_100), {"compress_level": 1}),
        ("deep.png", "I;16", (6_100, 6_100), {"compress_level": 1}),
        ("gray.gif", "L", (10_000, 10_000), {}),
        ("rgb.webp", "RGB", (5_300, 5_300), {"method": 0}),
        ("rgb.avif", "RGB", (6_700, 6_700), {"speed": 10}),
        ("rgb.jp2", "RGB", (5_900, 5_900), {}),
        ("rgb.tiff", "RGB", (10_000, 10_000), {"compression": "tiff_lzw"}),
    ],
)
def test_the_largest_pictures_are_read_in_less_than_a_gigabyte(
    tmp_path: Path, name: str, mode: str, size: tuple[int, int], options: dict[str, object]
) -> None:
    if name.endswith("avif") and ".avif" not in Image.registered_extensions():
        pytest.skip("this Pillow has no AVIF")
    rows = (np.arange(size[1], dtype=np.uint32)[:, None] // 64 * 7) % 256
    columns = (np.arange(size[0], dtype=np.uint32)[None] // 32 * 5) % 256
    gray = ((rows + columns) % 256).astype(np.uint8)
    if mode == "I;16":
        image = Image.fromarray(gray.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(gray).convert("RGB" if mode == "CMYK" else mode).convert(mode)
    path = saved(tmp_path, image, name, **options)
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    shape, peak = json.loads(done.stdout)
    assert max(shape) == 4096
    assert peak < 1_000_000_000
