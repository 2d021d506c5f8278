"""Pillow images of every kind: modes, depths, transparency, orientation, profiles."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

from diffusion_geodesics.images import ImageError, load_image, read_image, to_uint8
from tests.images.samples import EDGE, WIDTH, gradient, saved


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG file."""
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize(
    "mode", ["L", "1", "P", "LA", "PA", "La", "RGBA", "RGBa", "RGBX", "YCbCr", "HSV", "LAB", "I;16"]
)
def test_every_mode_becomes_three_channels(mode: str) -> None:
    white = Image.new("RGB", (EDGE, EDGE), "white")
    match mode:
        case "I;16":
            converted = Image.fromarray(np.full((EDGE, EDGE), 65535, dtype=np.uint16))
        case "LAB":
            lab = ImageCms.createProfile("LAB")
            srgb = ImageCms.createProfile("sRGB")
            found = ImageCms.profileToProfile(white, srgb, lab, outputMode="LAB")
            assert found is not None
            converted = found
        case "RGBa":
            converted = white.convert("RGBA").convert("RGBa")
        case "La":
            converted = white.convert("LA").convert("La")
        case "PA":
            converted = white.convert("P").convert("PA")
        case _:
            converted = white.convert(mode)
    image = load_image(converted)
    assert image.shape == (3, EDGE, EDGE)
    assert float(image.min()) > 0.99


def test_sixteen_bit_gray_is_scaled_and_not_clipped(tmp_path: Path) -> None:
    values = np.arange(EDGE * WIDTH, dtype=np.uint16).reshape(EDGE, WIDTH) * 80
    image = load_image(saved(tmp_path, Image.fromarray(values)))
    torch.testing.assert_close(image[1], torch.from_numpy(values.astype(np.float32) / 65535))
    assert torch.equal(image[0], image[2])


def test_sixteen_bit_colour_is_read(tmp_path: Path) -> None:
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


def test_transparency_is_kept_and_laid_on_white(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("RGBA", (EDGE, EDGE), (255, 0, 0, 51)))
    picture = read_image(path)
    assert picture.alpha is not None
    torch.testing.assert_close(picture.alpha, torch.full((EDGE, EDGE), 0.2))
    torch.testing.assert_close(picture.pixels[:, 0, 0], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(load_image(path)[:, 0, 0], torch.tensor([1.0, 0.8, 0.8]))
    torch.testing.assert_close(load_image(path, 0.0)[:, 0, 0], torch.tensor([0.2, 0.0, 0.0]))


def test_a_palette_may_be_transparent_and_an_opaque_layer_is_none(tmp_path: Path) -> None:
    palette = Image.new("P", (EDGE, EDGE), 1)
    palette.putpalette([0, 0, 0, 0, 0, 255])
    clear = saved(tmp_path, palette, "b.png", transparency=1)
    torch.testing.assert_close(load_image(clear), torch.ones(3, EDGE, EDGE))
    opaque = Image.fromarray(gradient()).convert("RGBA")
    assert read_image(opaque).alpha is None
    assert (to_uint8(load_image(opaque)) == gradient()).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.tiff", "a.jpg", "a.webp"])
def test_the_cameras_orientation_is_applied(tmp_path: Path, name: str, orientation: int) -> None:
    pixels = Image.fromarray(gradient())
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, pixels, name, exif=exif.tobytes(), quality=100)
    with Image.open(path) as stored:
        expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB")).astype(int)
    found = to_uint8(load_image(path)).astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= 1
    assert found.shape[:2] == ((EDGE, WIDTH) if orientation < 5 else (WIDTH, EDGE))


def damaged_exif() -> dict[str, bytes]:
    """EXIF blocks that Pillow fails on, each in its own way."""
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = exif.tobytes()
    return {
        "no header": b"Exif\0\0" + b"\0" * 20,
        "cut": whole[:12],
        "far directory": b"Exif\0\0MM\0*\xff\xff\xff\xff",
        "endless directory": b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        "wrong type": whole.replace(b"\x01\x12\x00\x03", b"\x01\x12\x00\x63"),
        "text": whole.replace(b"\x01\x12\x00\x03", b"\x01\x12\x00\x02"),
    }


@pytest.mark.parametrize("damage", sorted(damaged_exif()))
@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.png"])
def test_a_damaged_exif_costs_the_rotation_alone(tmp_path: Path, name: str, damage: str) -> None:
    path = saved(tmp_path, Image.fromarray(gradient()), name, exif=damaged_exif()[damage])
    picture = read_image(path)
    assert picture.pixels.shape == (3, EDGE, WIDTH)
    assert any("EXIF" in note and "not turned" in note for note in picture.notes)


def test_a_doubled_header_is_no_obstacle(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(tmp_path, Image.fromarray(gradient()), "a.jpg", exif=b"Exif\0\0" + exif.tobytes())
    picture = read_image(path)  # Pillow 8348: turned by newer versions, and said by older ones
    assert picture.pixels.shape == (3, WIDTH, EDGE) or picture.notes


def test_an_orientation_beside_damaged_tags_is_followed(tmp_path: Path) -> None:
    # A rational of type double, which Pillow reads and fails to write again (Pillow 8965).
    block = b"Exif\0\0MM\0*\0\0\0\x08\0\x02"
    block += b"\x01\x12\0\x03\0\0\0\x01\0\x06\0\0" + b"\x82\x9a\0\x05\0\0\0\x01\0\0\0\x26"
    block += b"\0\0\0\0" + b"\xff\xff\xff\xff\0\0\0\0"
    path = saved(tmp_path, Image.fromarray(gradient()), "a.jpg", exif=block)
    assert read_image(path).pixels.shape == (3, WIDTH, EDGE)


def test_a_tiff_with_a_damaged_directory_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 12:30:45"
    path = saved(tmp_path, Image.fromarray(gradient()), "a.tiff", exif=exif.tobytes())
    data = bytearray(path.read_bytes())
    at = data.index(b"\x69\x87\x04\x00")
    data[at + 8 : at + 12] = b"\xff\xff\xff\x7f"
    path.write_bytes(data)
    assert (to_uint8(load_image(path)) == gradient()).all()


def test_colour_profiles_are_applied_and_damaged_ones_said(tmp_path: Path) -> None:
    red = Image.new("RGB", (EDGE, EDGE), (200, 30, 30))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    plain = load_image(red)
    good = read_image(saved(tmp_path, red, icc_profile=profile))
    assert float((good.pixels - plain).abs().max()) < 0.02
    assert good.notes == ()
    for damage in (b"no profile", profile[: len(profile) // 2]):
        bad = read_image(saved(tmp_path, red, icc_profile=damage))
        assert torch.equal(bad.pixels, plain)
        assert any("profile" in note for note in bad.notes)


def test_huge_edges_are_scaled_down_and_it_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("L", (5000, 20), 100))
    picture = read_image(path)
    assert picture.pixels.shape == (3, 16, 4096)
    assert picture.notes == ("scaled down from 5000x20 to 4096x16",)
    deep = load_image(Image.fromarray(np.full((20, 5000), 65535, dtype=np.uint16)))
    assert deep.shape == (3, 16, 4096)
    assert float(deep.min()) > 0.999
    clear = Image.new("RGBA", (5000, 20), (255, 0, 0, 51))
    assert read_image(clear).alpha is not None
    assert clear.size == (5000, 20)  # the caller's image is left alone


def test_a_cameras_two_views_are_one_still(tmp_path: Path) -> None:
    views = [Image.fromarray(gradient()), Image.new("RGB", (WIDTH, EDGE))]
    path = saved(tmp_path, views[0], "a.mpo", save_all=True, append_images=views[1:])
    assert load_image(path).shape == (3, EDGE, WIDTH)


# What is refused


def refusal(source: str | Path | Image.Image) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tiff", "a.bmp", "a.jp2", "a.tga"])
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


def test_values_out_of_range_are_refused() -> None:
    assert "16 bits" in refusal(Image.fromarray(np.full((EDGE, EDGE), 70000, dtype=np.int32)))
    for value in (2.0, -0.5, np.nan, np.inf):
        image = Image.fromarray(np.full((EDGE, EDGE), value, dtype=np.float32))
        assert "outside" in refusal(image)


def test_a_closed_image_is_refused(tmp_path: Path) -> None:
    image = Image.open(saved(tmp_path, Image.fromarray(gradient())))
    image.close()
    assert "a.png" in refusal(image)
