"""Films as video files: H.264, VP9, AV1, ProRes and FFV1 through FFmpeg."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, final

from diffusion_geodesics.reporting._encoding import Encoder
from diffusion_geodesics.reporting.film_format import Encoded, FilmFormat, FrameSequence

if TYPE_CHECKING:
    from PIL.Image import Image


@final
@dataclass(frozen=True)
class Mp4(FilmFormat):
    """H.264 in MP4 with colour at half resolution (4:2:0), which plays everywhere.

    Sizes are even: an odd column or row is repeated.

    Args:
        crf: constant rate factor of x264, 0 (no loss) to 51; 16 is hard to tell from no loss.
    """

    suffix: ClassVar[str] = ".mp4"
    keeps_alpha: ClassVar[bool] = False
    crf: int = 16

    @property
    def media_type(self) -> str:
        return "video/mp4"

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        return _written(_even(frames), _x264("yuv420p", self.crf), path, frames.size)


@final
@dataclass(frozen=True)
class Mp4FullChroma(FilmFormat):
    """H.264 in MP4 with colour at full resolution (4:4:4), in any size; fewer players show it.

    Args:
        crf: as for `Mp4`.
    """

    suffix: ClassVar[str] = ".444.mp4"
    keeps_alpha: ClassVar[bool] = False
    crf: int = 16

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        return _written(frames, _x264("yuv444p", self.crf), path, frames.size)


@final
@dataclass(frozen=True)
class WebM(FilmFormat):
    """VP9 in WebM, with the alpha channel where frames have one.

    Args:
        crf: constant quality of VP9, 0 to 63; 20 is hard to tell from no loss.
    """

    suffix: ClassVar[str] = ".webm"
    keeps_alpha: ClassVar[bool] = True
    crf: int = 20

    @property
    def media_type(self) -> str:
        return "video/webm"

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        options = {"crf": str(self.crf), "b": "0", "row-mt": "0", "deadline": "good"}
        encoder = Encoder("libvpx-vp9", "yuv420p", options)
        if frames.has_alpha:
            # libvpx encodes alpha as a second stream, which allows no hidden reference frames.
            encoder = Encoder(
                "libvpx-vp9",
                "yuva420p",
                {**options, "auto-alt-ref": "0"},
                stream={"alpha_mode": "1"},
            )
        return _written(frames, encoder, path, frames.size)


@final
@dataclass(frozen=True)
class Av1(FilmFormat):
    """AV1 in MP4: smaller files, slower to make; SVT-AV1 does it.

    Args:
        crf: constant quality of SVT-AV1, 1 to 63.
        preset: 0 (slow) to 13 (fast).
    """

    suffix: ClassVar[str] = ".av1.mp4"
    keeps_alpha: ClassVar[bool] = False
    crf: int = 20
    preset: int = 6

    def problem(self) -> str:
        return "" if self._encoder().is_there else "this build of FFmpeg has no SVT-AV1 encoder"

    def _encoder(self) -> Encoder:
        # One thread ("lp", level of parallelism): its decisions then do not depend on the machine.
        options = {"crf": str(self.crf), "preset": str(self.preset), "svtav1-params": "lp=1"}
        return Encoder("libsvtav1", "yuv420p", options, {"movflags": "+faststart"})

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        with _silent_svt():
            return _written(frames, self._encoder(), path, frames.size)


@final
@dataclass(frozen=True)
class ProRes(FilmFormat):
    """ProRes 4444 in QuickTime, 10 bits a channel, with alpha where frames have it: for editing."""

    suffix: ClassVar[str] = ".mov"
    keeps_alpha: ClassVar[bool] = True

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        options = {"profile": "4444", "vendor": "apl0"}
        encoder = Encoder("prores_ks", "yuv444p10le", options)
        if frames.has_alpha:
            encoder = Encoder("prores_ks", "yuva444p10le", {**options, "alpha_bits": "16"})
        return _written(frames, encoder, path, frames.size)


@final
@dataclass(frozen=True)
class Ffv1(FilmFormat):
    """FFV1 in Matroska: every pixel as it was, with alpha where frames have it: for archives."""

    suffix: ClassVar[str] = ".mkv"
    keeps_alpha: ClassVar[bool] = True

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        options = {"level": "3", "slices": "4", "slicecrc": "1"}
        encoder = Encoder("ffv1", "bgra" if frames.has_alpha else "bgr0", options)
        return _written(frames, encoder, path, frames.size)


def _x264(pixel_format: str, crf: int) -> Encoder:
    # x264's macroblock tree with AVX-512 gives other bytes at times for sides below 100 pixels
    options = {"crf": str(crf), "preset": "slow", "x264-params": "mbtree=0"}
    return Encoder("libx264", pixel_format, options, {"movflags": "+faststart"})


def _written(
    frames: FrameSequence, encoder: Encoder, path: Path, asked: tuple[int, int]
) -> Encoded:
    encoder.write(frames, path)
    notes = ()
    if frames.size != asked:
        notes = (
            f"{frames.size[0]} x {frames.size[1]} pixels: this format needs even sizes, so the "
            "last column or row is repeated",
        )
    return Encoded(len(frames), frames.rate, frames.size, notes)


def _even(frames: FrameSequence) -> FrameSequence:
    return replace(frames, images=tuple(_even_image(image) for image in frames.images))


def _even_image(image: Image) -> Image:
    """The image with its last column and row repeated where a side is odd."""
    from PIL import Image

    width, height = image.width + image.width % 2, image.height + image.height % 2
    if (width, height) == image.size:
        return image
    even = Image.new("RGB", (width, height))
    for corner in ((1, 1), (0, 1), (1, 0), (0, 0)):
        place = (corner[0] * (width - image.width), corner[1] * (height - image.height))
        even.paste(image, place)
    return even


@contextmanager
def _silent_svt() -> Iterator[None]:
    """SVT-AV1 prints its settings unless this variable says to print errors only."""
    before = os.environ.get("SVT_LOG")
    os.environ["SVT_LOG"] = before or "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SVT_LOG"]
