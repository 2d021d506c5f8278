"""Opening video files: local files only, and one of their streams."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_geodesics.clips.clip import ClipError
from diffusion_geodesics.images.files import check_file
from diffusion_geodesics.images.guard import detail
from diffusion_geodesics.runtime.paths import printable

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

LARGEST_AREA = 7680 * 4320  # pixels of a frame above which a file is refused: 8K
DECODING = {"max_pixels": str(LARGEST_AREA)}  # options of every decoder
_OPEN_OTHERS = frozenset(
    "concat dash dvdvideo hls image2 image2pipe imf lavfi rtp rtsp sap sdp vobsub "
    "webm_dash_manifest".split()
)
"""FFmpeg's formats whose files name other files, or addresses, to read."""
_NO_VIDEO = frozenset("ass lrc srt tty webvtt".split())  # formats that FFmpeg finds in any text
_STILLS = "_pipe"  # how the names of FFmpeg's formats of still images end


@contextmanager
def opened(path: Path) -> Iterator[InputContainer]:
    """The file, open. Nothing else is read: no other protocol, no format that names files."""
    import av

    name = printable(path)
    check_file(path, ClipError)
    if path.stat().st_size == 0:
        raise ClipError(f"{name} is empty; fetch it again")
    options = {"protocol_whitelist": "file", "format_whitelist": _formats(), **DECODING}
    try:
        address = f"file:{os.path.abspath(path)}"
        container = av.open(address, options=options, metadata_errors="replace")
    except PermissionError as error:
        raise ClipError(f"{name} may not be read; check its permissions") from error
    except Exception as error:
        raise ClipError(
            f"{name} cannot be read as a video ({reason(error)}): it is no video, or damaged or "
            "cut short; give an mp4, webm or gif, or a folder of frames"
        ) from error
    with container:
        yield container


@cache
def _formats() -> str:
    """Names of all formats of moving pictures that stand in one file."""
    import av

    names = sorted(av.formats_available - _OPEN_OTHERS - _NO_VIDEO)
    return ",".join(name for name in names if not name.endswith(_STILLS))


def choose_stream(container: InputContainer, name: str, wanted: int | None) -> int:
    """Which of the file's video streams is read, counted from 0."""
    streams = moving_pictures(container)
    if not streams:
        if container.streams.video and not all(is_cover(s) for s in container.streams.video):
            raise ClipError(
                f"{name} is damaged or cut short, or coded in a way that cannot be read; fetch it "
                "again, or re-encode it as H.264"
            )
        sound = "it is sound only" if container.streams.audio else "it may be cut short"
        raise ClipError(f"{name} holds no moving picture, {sound}; give a clip with a video stream")
    if wanted is not None and not 0 <= wanted < len(streams):
        count = f"{len(streams)} video stream{'s' * (len(streams) > 1)}"
        raise ClipError(f"{name} has {count}, number {wanted} was asked for; count from 0")
    if wanted is None:
        from av.stream import Disposition

        marked = [s for s in streams if Disposition.default in s.disposition] or streams
        chosen = max(marked, key=lambda s: (s.frames, s.width * s.height))
    else:
        chosen = streams[wanted]
    if chosen.width * chosen.height > LARGEST_AREA:
        raise ClipError(
            f"{name} has frames of {chosen.width}x{chosen.height} pixels; at most 7680x4320 (8K) "
            "are read: scale it down first"
        )
    return [s.index for s in container.streams.video].index(chosen.index)


def moving_pictures(container: InputContainer) -> list[VideoStream]:
    """The video streams that can be decoded, covers left out."""
    streams = container.streams.video
    return [s for s in streams if s.codec_context is not None and not is_cover(s)]


def is_cover(stream: VideoStream) -> bool:
    """Whether a stream is a still that goes with sound, such as the cover of an album."""
    from av.stream import Disposition

    return Disposition.attached_pic in stream.disposition


def reason(error: Exception) -> str:
    """What FFmpeg says, in one line."""
    return detail(error).lower()
