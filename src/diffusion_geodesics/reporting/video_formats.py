"""Films as video files: H.264, VP9, AV1, ProRes and FFV1 through FFmpeg."""

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, final

from PIL import Image

from diffusion_geodesics.reporting._encoding import Encoder
from diffusion_geodesics.reporting._svt_av1 import tame_svt_av1
from diffusion_geodesics.reporting.film_format import Encoded, FilmFormat, FrameSequence

FAST_START = {"movflags": "+faststart"}


class VideoFormat(FilmFormat):
    """A film file that one of FFmpeg's encoders writes."""

    @abstractmethod
    def encoder(self, alpha: bool) -> Encoder:
        """The encoder, for frames with or without an alpha channel."""

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        self.encoder(frames.has_alpha).write(frames, path)
        return Encoded(len(frames), frames.rate, frames.size)


@final
@dataclass(frozen=True)
class Mp4(VideoFormat):
    """H.264 in MP4 with colour at half resolution (4:2:0), which plays everywhere.

    Sizes are even: an odd column or row is repeated.
    """

    suffix: ClassVar[str] = ".mp4"
    keeps_alpha: ClassVar[bool] = False
    media_type: ClassVar[str] = "video/mp4"
    crf: int = 16  # constant rate factor of x264, 0 (no loss) to 51; 16 is hard to tell from 0

    def encoder(self, alpha: bool) -> Encoder:
        return _x264("yuv420p", self.crf)

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        even = replace(frames, images=tuple(map(_even, frames.images)))
        done = super().write(even, path)
        if even.size == frames.size:
            return done
        note = "this format needs even sizes, so the last column or row is repeated"
        return replace(done, notes=(f"{even.size[0]} x {even.size[1]} pixels: {note}",))


@final
@dataclass(frozen=True)
class Mp4FullChroma(VideoFormat):
    """H.264 in MP4 with colour at full resolution (4:4:4), in any size; fewer players show it."""

    suffix: ClassVar[str] = ".444.mp4"
    keeps_alpha: ClassVar[bool] = False
    crf: int = 16  # as for `Mp4`

    def encoder(self, alpha: bool) -> Encoder:
        return _x264("yuv444p", self.crf)


@final
@dataclass(frozen=True)
class WebM(VideoFormat):
    """VP9 in WebM, with the alpha channel where frames have one."""

    suffix: ClassVar[str] = ".webm"
    keeps_alpha: ClassVar[bool] = True
    media_type: ClassVar[str] = "video/webm"
    crf: int = 20  # constant quality of VP9, 0 to 63; 20 is hard to tell from no loss

    def encoder(self, alpha: bool) -> Encoder:
        options = {"crf": str(self.crf), "b": "0", "row-mt": "0", "deadline": "good"}
        if not alpha:
            return Encoder("libvpx-vp9", "yuv420p", options)
        # libvpx encodes alpha as a second stream, which allows no hidden reference frames.
        options |= {"auto-alt-ref": "0"}
        return Encoder("libvpx-vp9", "yuva420p", options, stream={"alpha_mode": "1"})


@final
@dataclass(frozen=True)
class Av1(VideoFormat):
    """AV1 in MP4: smaller files, slower to make; SVT-AV1 does it."""

    suffix: ClassVar[str] = ".av1.mp4"
    keeps_alpha: ClassVar[bool] = False
    crf: int = 20  # constant quality of SVT-AV1, 1 to 63
    preset: int = 6  # 0 (slow) to 13 (fast)

    def problem(self) -> str:
        there = self.encoder(False).is_there
        return "" if there else "this build of FFmpeg has no SVT-AV1 encoder"

    def encoder(self, alpha: bool) -> Encoder:
        # One thread ("lp", level of parallelism): its decisions then do not depend on the machine.
        options = {"crf": str(self.crf), "preset": str(self.preset), "svtav1-params": "lp=1"}
        return Encoder("libsvtav1", "yuv420p", options, FAST_START)

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        with tame_svt_av1():
            return super().write(frames, path)


@final
@dataclass(frozen=True)
class ProRes(VideoFormat):
    """ProRes 4444 in QuickTime, 10 bits a channel, with alpha where frames have it: for editing."""

    suffix: ClassVar[str] = ".mov"
    keeps_alpha: ClassVar[bool] = True

    def encoder(self, alpha: bool) -> Encoder:
        options = {"profile": "4444", "vendor": "apl0"} | ({"alpha_bits": "16"} if alpha else {})
        return Encoder("prores_ks", "yuva444p10le" if alpha else "yuv444p10le", options)


@final
@dataclass(frozen=True)
class Ffv1(VideoFormat):
    """FFV1 in Matroska: every pixel as it was, with alpha where frames have it: for archives."""

    suffix: ClassVar[str] = ".mkv"
    keeps_alpha: ClassVar[bool] = True

    def encoder(self, alpha: bool) -> Encoder:
        options = {"level": "3", "slices": "4", "slicecrc": "1"}
        return Encoder("ffv1", "bgra" if alpha else "bgr0", options)


def _x264(pixel_format: str, crf: int) -> Encoder:
    # x264's macroblock tree with AVX-512 gives other bytes at times for sides below 100 pixels
    options = {"crf": str(crf), "preset": "slow", "x264-params": "mbtree=0"}
    return Encoder("libx264", pixel_format, options, FAST_START)


def _even(image: Image.Image) -> Image.Image:
    """The image with its last column and row repeated where a side is odd."""
    right, bottom = image.width % 2, image.height % 2
    if not right and not bottom:
        return image
    even = Image.new("RGB", (image.width + right, image.height + bottom))
    for corner in ((right, bottom), (0, bottom), (right, 0), (0, 0)):
        even.paste(image, corner)
    return even
