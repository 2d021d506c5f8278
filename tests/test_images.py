"""Images of every kind in; one size, 8 bits and a figure out."""

import io
import math
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from diffusion_geodesics.framing import CentreCrop, Pad, choose_size, fit
from diffusion_geodesics.images import ImageError, load_image, psnr, save_png, to_uint8

EDGE = 24


def gradient(height: int = EDGE, width: int = 32) -> np.ndarray:
    """8-bit colours that differ in every row and column."""
    rows, columns = np.mgrid[0:height, 0:width]
    return np.stack([rows * 5, columns * 3, rows + columns], axis=-1).astype(np.uint8)


def saved(folder: Path, image: Image.Image, name: str = "a.png", **options: Any) -> Path:
    image.save(folder / name, **options)
    return folder / name


def test_eight_bits_survive_a_round_trip(tmp_path: Path) -> None:
    pixels = gradient()
    image = load_image(saved(tmp_path, Image.fromarray(pixels)))
    assert image.shape == (3, EDGE, 32)
    assert image.dtype == torch.float32
    assert (to_uint8(image) == pixels).all()
    save_png(tmp_path / "b.png", image)
    assert torch.equal(load_image(tmp_path / "b.png"), image)
    assert torch.equal(load_image(Image.fromarray(pixels)), image)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "YCbCr", "HSV", "LAB", "I;16"])
def test_every_mode_becomes_three_channels(tmp_path: Path, mode: str) -> None:
    white = Image.new("RGB", (EDGE, EDGE), "white")
    if mode == "I;16":
        converted = Image.fromarray(np.full((EDGE, EDGE), 65535, dtype=np.uint16))
    elif mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(
            white, ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
        )
        assert converted is not None
    else:
        converted = white.convert(mode)
    image = load_image(converted)
    assert image.shape == (3, EDGE, EDGE)
    assert float(image.min()) > 0.99


def test_sixteen_bit_gray_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    values = np.arange(EDGE * 32, dtype=np.uint16).reshape(EDGE, 32) * 80
    image = load_image(saved(tmp_path, Image.fromarray(values)))
    expected = torch.from_numpy(values.astype(np.float32) / 65535)
    torch.testing.assert_close(image[1], expected)
    assert torch.equal(image[0], image[2])


def test_sixteen_bit_colour_is_read(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", EDGE, EDGE, 16, 2, 0, 0, 0)
    row = b"\0" + np.full((EDGE, 3), 40000, dtype=">u2").tobytes()
    path = tmp_path / "deep.png"
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * EDGE))
        + chunk(b"IEND", b"")
    )
    assert float((load_image(path) - 40000 / 65535).abs().max()) < 1 / 255


def test_cmyk_is_converted(tmp_path: Path) -> None:
    image = load_image(saved(tmp_path, Image.new("CMYK", (EDGE, EDGE), (255, 0, 0, 0)), "a.jpg"))
    assert float(image[0].max()) < 0.1
    assert float(image[1:].min()) > 0.6


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    half = load_image(saved(tmp_path, Image.new("RGBA", (EDGE, EDGE), (255, 0, 0, 51))))
    torch.testing.assert_close(half[:, 0, 0], torch.tensor([1.0, 0.8, 0.8]))
    palette = Image.new("P", (EDGE, EDGE), 1)
    palette.putpalette([0, 0, 0, 0, 0, 255])
    clear = load_image(saved(tmp_path, palette, "b.png", transparency=1))
    torch.testing.assert_close(clear, torch.ones(3, EDGE, EDGE))


def test_the_cameras_orientation_is_applied(tmp_path: Path) -> None:
    pixels = gradient()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    path = saved(tmp_path, Image.fromarray(pixels), exif=exif.tobytes())
    assert (to_uint8(load_image(path)) == np.rot90(pixels, -1)).all()


def test_colour_profiles_are_applied_and_damaged_ones_ignored(tmp_path: Path) -> None:
    red = Image.new("RGB", (EDGE, EDGE), (200, 30, 30))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = load_image(red)
    assert (load_image(saved(tmp_path, red, icc_profile=profile)) - plain).abs().max() < 0.02
    assert torch.equal(load_image(saved(tmp_path, red, icc_profile=b"no profile")), plain)


def test_huge_edges_are_scaled_down(tmp_path: Path) -> None:
    image = load_image(saved(tmp_path, Image.new("L", (5000, 20), 100)))
    assert image.shape == (3, 16, 4096)
    deep = load_image(Image.fromarray(np.full((20, 5000), 65535, dtype=np.uint16)))
    assert deep.shape == (3, 16, 4096)


# What is refused


def refusal(source: str | Path | Image.Image) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_no_image_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "missing.png")
    assert "is a folder" in refusal(tmp_path)
    text = tmp_path / "text.png"
    text.write_text("not an image")
    assert "not an image" in refusal(text)
    empty = tmp_path / "empty.png"
    empty.touch()
    assert "not an image" in refusal(empty)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tiff", "a.bmp"])
def test_truncated_files_are_refused(tmp_path: Path, name: str) -> None:
    noise = np.frombuffer(os.urandom(64 * 64 * 3), np.uint8).reshape(64, 64, 3)
    path = saved(tmp_path, Image.fromarray(noise), name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "a." in refusal(path)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
def test_animations_are_refused(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (EDGE, EDGE), (60 * k, 0, 0)) for k in range(4)]
    path = saved(tmp_path, frames[0], name, save_all=True, append_images=frames[1:])
    assert "an animation of 4 frames; save one frame as PNG" in refusal(path)


def test_documents_of_pages_are_refused(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (EDGE, EDGE), (60 * k, 0, 0)) for k in range(3)]
    path = saved(tmp_path, pages[0], "a.tiff", save_all=True, append_images=pages[1:])
    assert "3 pages" in refusal(path)


def test_a_cameras_two_views_are_one_still(tmp_path: Path) -> None:
    views = [Image.fromarray(gradient()), Image.new("RGB", (32, EDGE))]
    path = saved(tmp_path, views[0], "a.mpo", save_all=True, append_images=views[1:])
    assert load_image(path).shape == (3, EDGE, 32)


def test_sizes_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    assert "1x1 pixels; expected at least 16" in refusal(Image.new("RGB", (1, 1)))
    assert "15x400" in refusal(Image.new("RGB", (15, 400)))
    bomb = saved(tmp_path, Image.new("1", (10_001, 10_000)), "bomb.png")
    assert "more than 100 megapixels" in refusal(bomb)
    worse = saved(tmp_path, Image.new("1", (20_000, 20_000)), "worse.png")
    assert "more than 100 megapixels" in refusal(worse)


def test_values_beyond_sixteen_bits_are_refused() -> None:
    assert "16 bits" in refusal(Image.fromarray(np.full((EDGE, EDGE), 70000, dtype=np.int32)))
    assert "outside" in refusal(Image.fromarray(np.full((EDGE, EDGE), 2.0, dtype=np.float32)))


# Framing


def test_the_centre_is_cropped_and_said() -> None:
    image = torch.zeros(3, 100, 200)
    image[:, :, 50:150] = 1.0
    framed = fit(image, 64, 64)
    torch.testing.assert_close(framed.image, torch.ones(3, 64, 64))
    assert framed.note == "cut 50% of the width at the edges, resized from 200x100 to 64x64"
    assert framed.box == (0, 0, 64, 64)


def test_padding_keeps_everything_and_says_so() -> None:
    framed = fit(torch.zeros(3, 100, 200), 64, 64, Pad(0.5))
    assert framed.box == (16, 0, 32, 64)
    torch.testing.assert_close(framed.image[:, :16], torch.full((3, 16, 64), 0.5))
    assert float(framed.image[:, 16:48].abs().max()) == 0.0
    assert framed.note == "padded at top and bottom, resized from 200x100 to 64x64"


def test_an_image_of_the_right_size_is_kept() -> None:
    image = torch.rand(3, 32, 48)
    for how in (CentreCrop(), Pad()):
        framed = fit(image, 32, 48, how)
        assert torch.equal(framed.image, image)
        assert framed.note == "kept as it is"


@given(
    st.integers(16, 200),
    st.integers(16, 200),
    st.integers(1, 12),
    st.integers(1, 12),
    st.booleans(),
)
def test_every_fit_gives_the_size_and_stays_in_range(
    old_height: int, old_width: int, rows: int, columns: int, crop: bool
) -> None:
    image = torch.rand(3, old_height, old_width)
    framed = fit(image, 8 * rows, 8 * columns, CentreCrop() if crop else Pad())
    assert framed.image.shape == (3, 8 * rows, 8 * columns)
    assert float(framed.image.min()) >= 0.0
    assert float(framed.image.max()) <= 1.0


def test_fits_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="positive edges"):
        fit(torch.rand(3, 20, 20), 0, 8)
    with pytest.raises(ValueError, match="gray"):
        Pad(2.0)


def test_sizes_keep_the_aspect_ratio_and_the_native_area() -> None:
    def size(*sizes: tuple[int, int], **options: Any) -> tuple[int, int]:
        return choose_size(sizes, native=512, multiple=64, **options)

    assert size((100, 100), (640, 640)) == (512, 512)
    assert size((480, 640)) == (448, 576)
    assert size((640, 480)) == (576, 448)
    assert size((100, 200), (200, 100)) == (512, 512)
    assert size((100, 5000)) == (384, 704)
    assert size((480, 640), requested=256) == (192, 320)
    assert size((480, 640), requested=(64, 128)) == (64, 128)
    with pytest.raises(ValueError, match="the nearest is 128x64"):
        size((480, 640), requested=(100, 70))
    with pytest.raises(ValueError, match="at least 64"):
        size((480, 640), requested=32)
    with pytest.raises(ValueError, match="at least one"):
        size()


def test_psnr_is_in_decibels_image_by_image() -> None:
    a = torch.full((2, 3, 8, 8), 0.5)
    b = torch.stack([a[0] + 0.1, a[1]])
    value = psnr(a, b)
    assert float(value[0]) == pytest.approx(20.0, abs=1e-4)
    assert math.isinf(float(value[1]))


def test_files_are_closed(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(gradient()))
    load_image(path)
    buffer = io.BytesIO(path.read_bytes())
    with Image.open(buffer) as image:
        load_image(image)
