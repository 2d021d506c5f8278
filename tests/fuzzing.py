"""Damaged files of every format that is read, and what comes of reading them.

    python -m tests.fuzzing --files 20000 --seed 1

reads so many mutated files and prints one line of JSON: how many were read and refused, whatever
came out that is no `ImageError` or `ClipError`, and the peak memory of the process.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import struct
import tempfile
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageCms

from diffusion_geodesics.clips import ClipError, Reading, open_clip
from diffusion_geodesics.images import ImageError, read_image
from diffusion_geodesics.reporting._svt_av1 import tame_svt_av1

HEIGHT, WIDTH = 24, 32
FRAMES = 4


def pixels(channels: int = 3, frame: int = 0) -> np.ndarray:
    """8-bit values that differ in every row, column and frame."""
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    layers = [rows * 9, columns * 7, (rows + columns) * 4, 255 - rows * 10]
    return (np.stack(layers[:channels], -1) + 10 * frame).astype(np.uint8)


def exif() -> bytes:
    """An orientation, text, a rational and two directories."""
    tags = Image.Exif()
    tags[0x0112], tags[0x010F], tags[0x011A] = 6, "a camera", 72.0
    tags.get_ifd(0x8769)[0x9003] = "2024:05:01 12:30:45"
    tags.get_ifd(0x8825)[1] = "N"
    return tags.tobytes()


def further() -> list[Image.Image]:
    """The later frames of animations; saving leaves traces in an image, so new ones each time."""
    return [Image.fromarray(pixels(frame=k)) for k in range(1, FRAMES)]


def picture_seeds() -> dict[str, bytes]:
    """A whole file of each picture format that Pillow writes, by name."""
    rgb, rgba = Image.fromarray(pixels()), Image.fromarray(pixels(4))
    deep = Image.fromarray((np.arange(HEIGHT * WIDTH) * 80).reshape(HEIGHT, WIDTH).astype("u2"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    several = {"save_all": True, "append_images": further(), "duration": 40}
    wanted: dict[str, tuple[Image.Image, dict[str, object]]] = {
        "rgb.png": (rgb, {"exif": exif(), "icc_profile": profile}),
        "rgba.png": (rgba, {}),
        "deep.png": (deep, {}),
        "palette.png": (rgb.quantize(16), {"transparency": 3}),
        "several.png": (rgb, several),
        "rgb.jpg": (rgb, {"exif": exif(), "icc_profile": profile}),
        "progressive.jpg": (rgb, {"progressive": True}),
        "cmyk.jpg": (rgb.convert("CMYK"), {}),
        "two.mpo": (rgb, {"save_all": True, "append_images": further()[:1]}),
        "lossy.webp": (rgb, {"exif": exif()}),
        "lossless.webp": (rgba, {"lossless": True}),
        "several.webp": (rgb, several),
        "raw.tiff": (rgb, {"exif": exif(), "icc_profile": profile}),
        "lzw.tiff": (rgba, {"compression": "tiff_lzw"}),
        "jpeg.tiff": (rgb, {"compression": "jpeg"}),
        "deep.tiff": (deep, {"compression": "tiff_deflate"}),
        "float.tiff": (Image.fromarray(pixels()[..., 0].astype("f4") / 255), {}),
        "pages.tiff": (rgb, {"save_all": True, "append_images": further()}),
        "still.gif": (rgb, {}),
        "several.gif": (rgb, {**several, "transparency": 2, "disposal": 2}),
        "rgb.bmp": (rgb, {}),
        "palette.bmp": (rgb.quantize(16), {}),
        "rgb.dib": (rgb, {}),
        "rgb.ppm": (rgb, {}),
        "gray.pgm": (rgb.convert("L"), {}),
        "rgba.ico": (rgba.resize((64, 64)), {"sizes": [(16, 16), (32, 32)]}),
        "bitmap.ico": (rgba.resize((64, 64)), {"sizes": [(32, 32)], "bitmap_format": "bmp"}),
        "rgba.icns": (rgba.resize((128, 128)), {}),
        "rgb.jp2": (rgb, {}),
        "rgb.j2k": (rgb, {}),
        "rgb.tga": (rgb, {"compression": "tga_rle"}),
        "rgb.pcx": (rgb, {}),
        "rgb.sgi": (rgb, {}),
        "rgba.dds": (rgba, {}),
        "rgb.im": (rgb, {}),
        "gray.msp": (rgb.convert("1"), {}),
        "gray.xbm": (rgb.convert("1"), {}),
        "rgba.blp": (rgb.quantize(16), {}),
    }
    if "AVIF" in Image.SAVE:
        wanted["rgb.avif"] = (rgb, {"exif": exif(), "speed": 10})
        wanted["several.avif"] = (rgb, {**several, "speed": 10})
    return {name: encoded(name, *what) for name, what in wanted.items()}


def encoded(name: str, image: Image.Image, options: dict[str, object]) -> bytes:
    """The bytes of a picture file."""
    buffer = io.BytesIO()
    buffer.name = name
    Image.init()
    image.copy().save(buffer, format=Image.EXTENSION[Path(name).suffix], **options)  # type: ignore[arg-type]
    return buffer.getvalue()


CODECS = {
    "h264.mp4": ("libx264", "yuv420p"),
    "hevc.mp4": ("libx265", "yuv420p10le"),
    "vp9.webm": ("libvpx-vp9", "yuv420p"),
    "alpha.webm": ("libvpx-vp9", "yuva420p"),
    "vp8.webm": ("libvpx", "yuv420p"),
    "av1.mkv": ("libsvtav1", "yuv420p"),
    "h264.mkv": ("libx264", "yuv444p"),
    "ffv1.mkv": ("ffv1", "bgra"),
    "prores.mov": ("prores_ks", "yuva444p10le"),
    "qtrle.mov": ("qtrle", "argb"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "h264.ts": ("libx264", "yuv420p"),
    "h264.flv": ("libx264", "yuv420p"),
    "mpeg2.mpg": ("mpeg2video", "yuv420p"),
    "wmv2.wmv": ("wmv2", "yuv420p"),
    "mjpeg.avi": ("mjpeg", "yuvj420p"),
    "raw.y4m": ("rawvideo", "yuv420p"),
    "raw.h264": ("libx264", "yuv420p"),
    "vp9.ivf": ("libvpx-vp9", "yuv420p"),
}
"""Codec and pixel format of each video file."""


def clip_seeds() -> dict[str, bytes]:
    """A whole video file of each kind that can be written here, by name."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, (codec, pixel_format) in CODECS.items():
            if codec in av.codecs_available:
                path = Path(folder) / name
                with tame_svt_av1():
                    write_video(path, codec, pixel_format)
                found[name] = path.read_bytes()
        return found


def write_video(path: Path, codec: str, pixel_format: str) -> None:
    """A few frames of :func:`pixels`, at 25 a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 2 * WIDTH, 2 * HEIGHT, pixel_format  # type: ignore[union-attr]
        for k in range(FRAMES):
            large = pixels(frame=k).repeat(2, 0).repeat(2, 1)
            frame = av.VideoFrame.from_ndarray(large, format="rgb24").reformat(
                format=pixel_format, threads=1
            )
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))  # type: ignore[union-attr]
        container.mux(stream.encode(None))  # type: ignore[union-attr]


def mutate(data: bytes, other: bytes, draw: random.Random) -> bytes:
    """One to three random changes, half of them near the start, where headers are."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        if not changed:
            break
        end = min(len(changed), 200) if draw.random() < 0.5 else len(changed)
        at = draw.randrange(end)
        size = draw.choice((1, 1, 2, 4, 4, 8, 30))
        match draw.randrange(8):
            case 0:
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                changed[at : at + size] = draw.randbytes(size)
            case 2:
                changed[at : at + size] = draw.choice((b"\x00", b"\xff", b"\x7f", b"\x80")) * size
            case 3:
                value = draw.choice((0, 1, 255, 65535, 100_000, 2**31 - 1, 2**32 - 1))
                changed[at : at + 4] = struct.pack(draw.choice("<>") + "I", value)
            case 4:
                del changed[at : at + size]
            case 5:
                changed[at:at] = draw.randbytes(size)
            case 6:
                del changed[draw.randrange(len(changed)) :]
            case _:
                start = draw.randrange(len(other))
                changed[at : at + 4 * size] = other[start : start + 4 * size]
    return with_checksums(bytes(changed)) if draw.random() < 0.7 else bytes(changed)


def with_checksums(data: bytes) -> bytes:
    """A PNG with its checksums put right, so that what they guard is read."""
    if not data.startswith(b"\x89PNG"):
        return data
    mended, at = bytearray(data), 8
    while at + 12 <= len(mended):
        (length,) = struct.unpack(">I", mended[at : at + 4])
        end = at + 8 + length
        if end + 4 > len(mended):
            break
        mended[end : end + 4] = struct.pack(">I", zlib.crc32(mended[at + 4 : end]))
        at = end + 4
    return bytes(mended)


def read_picture(path: Path) -> None:
    """Read as a picture, and check what was read."""
    picture = read_image(path)
    assert picture.pixels.shape[0] == 3
    assert float(picture.pixels.min()) >= 0.0
    assert float(picture.pixels.max()) <= 1.0


def read_clip(path: Path) -> None:
    """Read as a clip, at most 20 frames, and check what was read."""
    clip = open_clip(path)
    last = -1.0
    for number, frame in enumerate(clip.frames(Reading(), lambda image: image)):
        assert frame.time > last
        assert float(frame.image.min()) >= 0.0
        assert float(frame.image.max()) <= 1.0
        last = frame.time
        if number == 20:
            break


ANIMATED = (".gif", ".webp", ".png", ".avif")


def mutated_files(
    seeds: dict[str, bytes], seed: int
) -> Iterator[tuple[str, bytes, Callable[[Path], None]]]:
    """Endless damaged files, each with a way to read it."""
    draw = random.Random(seed)
    names = sorted(seeds)
    while True:
        name = draw.choice(names)
        data = mutate(seeds[name], seeds[draw.choice(names)], draw)
        if name in CODECS or (name.endswith(ANIMATED) and draw.random() < 0.5):
            yield name, data, read_clip
        else:
            yield name, data, read_picture


@dataclass
class Outcome:
    """What came of reading damaged files."""

    read: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    slowest_name: str = ""
    peak: int = 0
    peak_name: str = ""


def attack(folder: Path, seeds: dict[str, bytes], files: int, seed: int) -> Outcome:
    """Read so many damaged files; only the two errors of pictures and clips count as refusals."""
    outcome = Outcome()
    source = mutated_files(seeds, seed)
    for number in range(files):
        name, data, read = next(source)
        path = folder / name
        path.write_bytes(data)
        reset_peak_memory()
        started = time.perf_counter()
        try:
            read(path)
            outcome.read[path.suffix] += 1
        except (ImageError, ClipError) as error:
            outcome.refused[path.suffix] += 1
            if "\n" in str(error) or name not in str(error):
                outcome.failures.append(f"{number} {name}: unclear message {error}")
        except Exception:
            outcome.failures.append(f"{number} {name}: {traceback.format_exc()}")
            (folder / f"failure-{seed}-{number}-{name}").write_bytes(data)
        seconds = time.perf_counter() - started
        if seconds > outcome.slowest:
            outcome.slowest, outcome.slowest_name = seconds, f"{number} {name}"
        if (peak := peak_memory()) > outcome.peak:
            outcome.peak, outcome.peak_name = peak, f"{number} {name}"
        path.unlink()
    return outcome


def reset_peak_memory() -> None:
    """Count the peak from here (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int:
    """Bytes that this process has held at most since the count began (Linux)."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description="read damaged files")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        seeds = {**picture_seeds(), **clip_seeds()}
        reset_peak_memory()
        before = peak_memory()
        outcome = attack(folder, seeds, options.files, options.seed)
    print(
        json.dumps(
            {
                "files": options.files,
                "read": sum(outcome.read.values()),
                "refused": sum(outcome.refused.values()),
                "failures": outcome.failures,
                "slowest_s": round(outcome.slowest, 2),
                "slowest": outcome.slowest_name,
                "formats": len(outcome.read | outcome.refused),
                "before_mb": before // 1_000_000,
                "peak_mb": outcome.peak // 1_000_000,
                "peak": outcome.peak_name,
            }
        )
    )


if __name__ == "__main__":
    main()
