"""Video files: MP4, WebM and whatever else FFmpeg reads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics.clips.clip import Clip, ClipError, Moment, Picture, Seconds, check_size

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_MISSING = 0.02
"""Share of the frames announced that may be missing before a file is called cut short."""
_NOT_VIDEO = ("tty", "png_pipe", "image2", "jpeg_pipe", "lrc", "srt", "webvtt")
_UNSPECIFIED = 2  # of a colour space, in ITU-T H.273
_HIGH_DEFINITION = 720


@final
class VideoClip(Clip):
    """One video stream of a file.

    - `path`: the file.
    - `stream`: which video stream, counted from 0; by default, of those that the file marks as
      its default, the one with most frames.

    Nothing is decoded but the first frame; the file is read through once, to count its frames and
    to see that it is whole. Raises `ClipError`, in one line, for a file that is missing, empty,
    no video, without pictures, damaged, cut short, or of a single frame.
    """

    def __init__(self, path: str | Path, stream: int | None = None):
        self.path = Path(path).expanduser()
        self.name = self.path.name
        with _opened(self.path) as container:
            self.stream = _choose(container, self.path, stream)
            chosen = container.streams.video[self.stream]
            announced, seconds = chosen.frames, _seconds(container, chosen)
            self.count, last = _packets(container, chosen, self.path)
            self.rate = float(chosen.average_rate or chosen.guessed_rate or 25)
            others = len([s for s in container.streams.video if not _is_cover(s)])
        gone = announced - self.count
        short = seconds - last if announced == 0 and seconds else 0.0
        if gone > max(2, _MISSING * announced) or short > max(1.0, 0.1 * seconds):
            what = f"{self.count} of {announced} frames" if announced else f"{last:.1f} s"
            raise ClipError(
                f"{self.path} is cut short: {what} are there"
                + ("" if announced else f" of {seconds:.1f}")
                + "; fetch it again, or re-encode the part that plays"
            )
        if self.count == 0:
            raise ClipError(f"{self.path} holds no frame; export it again")
        first = next(iter(self.pictures(None)), None)
        if first is None:
            raise ClipError(f"{self.path} is damaged: not one frame can be read; fetch it again")
        image = first.load()
        self.size = check_size(str(self.path), (int(image.shape[1]), int(image.shape[2])))
        if others > 1:
            self.notes = (
                f"video stream {self.stream} of {others} was read "
                f"({self.size[1]}x{self.size[0]}, {self.count} frames)",
            )

    def pictures(self, start: Moment | None) -> Iterator[Picture]:
        with _opened(self.path) as container:
            stream = container.streams.video[self.stream]
            stream.thread_type = "AUTO"
            base = float(stream.time_base or 1)
            origin = stream.start_time or 0
            late = start.value if isinstance(start, Seconds) else 0.0
            seeking = late > 2 and self.rate > 0
            if seeking:
                container.seek(origin + int(late / base), stream=stream)
            index = 0
            try:
                for frame in container.decode(stream):
                    time = index / self.rate if frame.pts is None else (frame.pts - origin) * base
                    index = max(index, round(time * self.rate)) if seeking else index
                    yield Picture(index, time, lambda frame=frame: _pixels(frame))
                    index += 1
            except _ffmpeg_error() as error:
                raise ClipError(
                    f"{self.path} is damaged after frame {index} ({_reason(error)}); fetch it "
                    "again, or read up to there with --end"
                ) from error


@contextmanager
def _opened(path: Path) -> Iterator[InputContainer]:
    import av

    if not path.exists():
        raise ClipError(f"{path} does not exist; check the path")
    if path.stat().st_size == 0:
        raise ClipError(f"{path} is empty; fetch it again")
    try:
        container = av.open(str(path))
    except PermissionError as error:
        raise ClipError(f"{path} may not be read; check its permissions") from error
    except _ffmpeg_error() as error:
        raise ClipError(
            f"{path} cannot be read as a video ({_reason(error)}): it is no video, or damaged or "
            "cut short; give an mp4, webm or gif, or a folder of frames"
        ) from error
    with container:
        if container.format.name in _NOT_VIDEO:
            raise ClipError(f"{path} is no video; give an mp4, webm or gif, or a folder of frames")
        yield container


def _choose(container: InputContainer, path: Path, wanted: int | None) -> int:
    streams = [s for s in container.streams.video if not _is_cover(s)]
    if not streams:
        sound = "it is sound only" if container.streams.audio else "it may be cut short"
        raise ClipError(f"{path} holds no moving picture, {sound}; give a clip with a video stream")
    if wanted is not None:
        if not 0 <= wanted < len(streams):
            raise ClipError(
                f"{path} has {len(streams)} video stream{'s' * (len(streams) > 1)}, number "
                f"{wanted} was asked for; count from 0"
            )
        return _position(container, streams[wanted])
    from av.stream import Disposition

    marked = [s for s in streams if Disposition.default in s.disposition] or streams
    best = max(marked, key=lambda s: (s.frames, s.width * s.height))
    return _position(container, best)


def _position(container: InputContainer, stream: VideoStream) -> int:
    return [s.index for s in container.streams.video].index(stream.index)


def _is_cover(stream: VideoStream) -> bool:
    from av.stream import Disposition

    return Disposition.attached_pic in stream.disposition


def _seconds(container: InputContainer, stream: VideoStream) -> float:
    """What the file says the stream lasts; 0 where it says nothing."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return 0.0 if container.duration is None else container.duration / 1e6


def _packets(container: InputContainer, stream: VideoStream, path: Path) -> tuple[int, float]:
    """Number of coded frames, and the time of the last one, without decoding any."""
    count, last = 0, 0.0
    origin, base = stream.start_time or 0, float(stream.time_base or 1)
    try:
        for packet in container.demux(stream):
            if packet.size and not packet.is_corrupt and not packet.is_discard:
                count += 1
                if packet.pts is not None:
                    last = max(last, (packet.pts - origin) * base)
    except _ffmpeg_error() as error:
        raise ClipError(
            f"{path} is damaged or cut short after frame {count} ({_reason(error)}); fetch it again"
        ) from error
    return count, last


def _pixels(frame: VideoFrame) -> Tensor:
    """Upright RGB in [0, 1]. A file that does not name its colour space has that of its size."""
    from av.video.reformatter import Colorspace

    space = frame.colorspace
    if space == _UNSPECIFIED or space == 0:
        space = Colorspace.ITU709 if frame.height >= _HIGH_DEFINITION else Colorspace.ITU601
    rgb = frame.reformat(format="rgb24", src_colorspace=space).to_ndarray()
    turns = round(frame.rotation / 90)
    if turns % 4:
        rgb = np.rot90(rgb, turns)
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))).float() / 255


def _ffmpeg_error() -> type[Exception]:
    import av.error

    return av.error.FFmpegError


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", "") or error).lower()
