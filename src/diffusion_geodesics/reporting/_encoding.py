"""One video stream through FFmpeg's encoders, with the colours of BT.709 and said so."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast, final

import numpy as np
from PIL.Image import Image

from diffusion_geodesics.reporting.film_format import FrameSequence

if TYPE_CHECKING:
    from av import VideoFrame

BT709 = 1  # its number in ITU-T H.273, for primaries and transfer characteristics alike
RGB_FORMATS = {"bgr0", "bgra"}  # pixel formats that are not converted to luma and chroma


@final
@dataclass(frozen=True)
class Encoder:
    """An encoder of FFmpeg and how it is used."""

    name: str  # as FFmpeg calls it
    pixel_format: str  # that frames are converted to; luma and chroma are of limited range
    options: Mapping[str, str] = field(default_factory=dict)  # of the encoder
    container: Mapping[str, str] = field(default_factory=dict)  # options of the container
    stream: Mapping[str, str] = field(default_factory=dict)  # metadata of the stream

    @property
    def is_there(self) -> bool:
        """Whether this build of FFmpeg has it."""
        from av.codec import Codec

        try:
            Codec(self.name, "w")
        except ValueError:  # of which PyAV's UnknownCodecError is one
            return False
        return True

    def write(self, frames: FrameSequence, path: Path) -> None:
        """Encode all frames into a new file, on one thread, so that bytes are reproducible."""
        with _plain_path(path) as plain:
            self._write(frames, plain)

    def _write(self, frames: FrameSequence, path: Path) -> None:
        import av
        from av.video import VideoStream
        from av.video.reformatter import ColorRange, Colorspace

        step = 1 / frames.rate
        options = {"fflags": "+bitexact", **self.container}
        with av.open(str(path.absolute()), "w", options=options) as container:
            added = container.add_stream(self.name, rate=frames.rate, options=dict(self.options))
            stream = cast(VideoStream, added)
            stream.metadata.update(self.stream)
            context = stream.codec_context
            context.width, context.height = frames.size
            context.pix_fmt = self.pixel_format
            context.thread_count = 1
            context.time_base = step
            context.color_primaries = context.color_trc = BT709
            if self.pixel_format not in RGB_FORMATS:
                context.colorspace, context.color_range = Colorspace.ITU709, ColorRange.MPEG
            for i, image in enumerate(frames):
                frame = self._converted(image)
                frame.pts, frame.time_base, frame.duration = i, step, 1
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

    def _converted(self, image: Image) -> VideoFrame:
        import av
        from av.video.reformatter import ColorRange, Colorspace

        layout = "rgba" if image.mode == "RGBA" else "rgb24"
        frame = av.VideoFrame.from_ndarray(np.asarray(image), format=layout)
        # One thread: several overwrite each other's first pixels where the width is odd.
        if self.pixel_format in RGB_FORMATS:
            return frame.reformat(format=self.pixel_format, threads=1)
        space = {"src_colorspace": Colorspace.ITU709, "dst_colorspace": Colorspace.ITU709}
        limits = {"src_color_range": ColorRange.JPEG, "dst_color_range": ColorRange.MPEG}
        return frame.reformat(format=self.pixel_format, threads=1, **space, **limits)


@contextmanager
def _plain_path(path: Path) -> Iterator[Path]:
    """A path that FFmpeg can open: another one, moved at the end, for a name that is no UTF-8."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / f"film{path.suffix}"
            yield plain
            shutil.move(plain, path)
    else:
        yield path
