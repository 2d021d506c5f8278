"""Video of a film: one `Video` says how it plays, one `VideoFormat` per kind of file.

Files depend on the frames and the settings alone: the same film gives the same bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast, final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.report.pixels import fit_height, to_images

if TYPE_CHECKING:
    from PIL.Image import Image

# The number of BT.709 in ITU-T H.273, for primaries and transfer characteristics alike.
_BT709 = 1


class VideoFormat(ABC):
    """A kind of video file."""

    suffix: ClassVar[str]

    @abstractmethod
    def write(self, frames: list[Image], fps: int, path: Path) -> None:
        """Write frames of one size, shown for 1/fps seconds each."""


@final
@dataclass(frozen=True)
class Mp4(VideoFormat):
    """H.264 in MP4, which plays everywhere.

    Arguments:
        crf: constant rate factor of x264, 0 (no loss) to 51; 16 is hard to tell from no loss.
    """

    suffix: ClassVar[str] = ".mp4"
    crf: int = 16

    def write(self, frames: list[Image], fps: int, path: Path) -> None:
        options = {"crf": str(self.crf), "preset": "slow"}
        _encode(frames, fps, path, "libx264", options, {"movflags": "+faststart"})


@final
@dataclass(frozen=True)
class WebM(VideoFormat):
    """VP9 in WebM.

    Arguments:
        crf: constant quality of VP9, 0 to 63; 20 is hard to tell from no loss.
    """

    suffix: ClassVar[str] = ".webm"
    crf: int = 20

    def write(self, frames: list[Image], fps: int, path: Path) -> None:
        options = {"crf": str(self.crf), "b": "0", "row-mt": "0", "deadline": "good"}
        _encode(frames, fps, path, "libvpx-vp9", options, {})


@final
@dataclass(frozen=True)
class Gif(VideoFormat):
    """Animated GIF: 256 colours a frame, no player needed."""

    suffix: ClassVar[str] = ".gif"

    def write(self, frames: list[Image], fps: int, path: Path) -> None:
        first, *rest = [frame.quantize(256) for frame in frames]
        # GIF counts time in hundredths of a second.
        duration = max(2, round(100 / fps)) * 10
        first.save(path, save_all=True, append_images=rest, duration=duration, loop=0, disposal=1)


@final
@dataclass(frozen=True)
class WebP(VideoFormat):
    """Animated WebP: as simple to show as a GIF, in full colour.

    Arguments:
        quality: 0 to 100.
    """

    suffix: ClassVar[str] = ".webp"
    quality: int = 90

    def write(self, frames: list[Image], fps: int, path: Path) -> None:
        first, *rest = frames
        first.save(
            path,
            save_all=True,
            append_images=rest,
            duration=round(1000 / fps),
            loop=0,
            quality=self.quality,
            method=4,
        )


@final
@dataclass(frozen=True)
class Video:
    """How a film plays.

    Arguments:
        fps: frames of the film a second, 1 to 120.
        hold: how often the first and the last frame are shown, at least 1.
        there_and_back: play the film backwards after the last frame, so that it loops.
        least_height: smaller frames are enlarged, by a whole factor, to at least this many pixels.
        formats: the files to write; the first is embedded in the report.

    Raises:
        ValueError: a number out of its range, or no format.
    """

    fps: int = 10
    hold: int = 5
    there_and_back: bool = True
    least_height: int = 384
    formats: tuple[VideoFormat, ...] = (Mp4(),)

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 120:
            raise ValueError(f"fps must be 1 to 120, got {self.fps}")
        if self.hold < 1:
            raise ValueError(f"hold must be at least 1 frame, got {self.hold}")
        if self.least_height < 1:
            raise ValueError(f"least_height must be at least 1 pixel, got {self.least_height}")
        if not self.formats:
            raise ValueError("got no video format; give at least one, such as Mp4()")

    def sequence(self, n: int) -> list[int]:
        """Indices of a film of n frames in the order in which they are shown."""
        inner = list(range(1, n - 1))
        shown = [0] * self.hold + inner + [n - 1] * self.hold
        return shown + inner[::-1] if self.there_and_back else shown

    def write(
        self, frames: Float[Tensor, "frames 3 height width"], folder: Path, stem: str = "morph"
    ) -> tuple[Path, ...]:
        """Write one file per format into a folder that exists; returns their paths."""
        images = to_images(frames)
        factor = -(-self.least_height // images[0].height)
        images = [fit_height(image, image.height * factor) for image in images]
        shown = [images[i] for i in self.sequence(len(images))]
        paths = tuple(folder / f"{stem}{kind.suffix}" for kind in self.formats)
        for kind, path in zip(self.formats, paths, strict=True):
            kind.write(shown, self.fps, path)
        return paths


def _encode(
    frames: list[Image],
    fps: int,
    path: Path,
    codec: str,
    codec_options: dict[str, str],
    container_options: dict[str, str],
) -> None:
    """Encode as 4:2:0, BT.709, limited range, and say so in the file."""
    import av
    from av.video import VideoStream
    from av.video.reformatter import ColorRange, Colorspace

    container_options = {"fflags": "+bitexact", **container_options}
    with av.open(str(path), "w", options=container_options) as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=fps, options=codec_options))
        context = stream.codec_context
        context.width, context.height = _even(frames[0]).size
        context.pix_fmt = "yuv420p"
        context.thread_count = 1
        context.time_base = Fraction(1, fps)
        context.colorspace = Colorspace.ITU709
        context.color_range = ColorRange.MPEG
        context.color_primaries = context.color_trc = _BT709
        for i, image in enumerate(frames):
            frame = av.VideoFrame.from_image(_even(image)).reformat(
                format="yuv420p",
                src_colorspace=Colorspace.ITU709,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            frame.pts = i
            frame.time_base = Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _even(image: Image) -> Image:
    """The image with its last column and row repeated where a side is odd, as 4:2:0 demands."""
    from PIL import Image

    width, height = image.width + image.width % 2, image.height + image.height % 2
    if (width, height) == image.size:
        return image
    even = Image.new("RGB", (width, height))
    even.paste(image, (width - image.width, height - image.height))
    even.paste(image, (0, height - image.height))
    even.paste(image, (width - image.width, 0))
    even.paste(image, (0, 0))
    return even
