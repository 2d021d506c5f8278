"""Decoding a video stream: frames in the order in which they are shown, with their opacity."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING, cast, final

from diffusion_geodesics.clips._container import DECODING

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_MEMORY = 300_000_000  # bytes of frames that decoders may hold for working in parallel
_OPACITY_BESIDE = ("vp8", "vp9")
"""Codecs of WebM, which carries opacity as a second picture beside each coded frame."""
_BESIDE = "matroska_block_additional"
_BESIDE_NUMBER = 8  # bytes of the number before what stands beside a frame


@final
@dataclass(frozen=True, eq=False)
class DecodedFrame:
    """A frame as it comes from the decoder."""

    frame: VideoFrame  # its colours, and its opacity where the pixel format has one
    opacity: VideoFrame | None = None  # a frame whose luma is the opacity, where it is coded apart

    @property
    def has_alpha(self) -> bool:
        """Whether it may be transparent."""
        return self.opacity is not None or _has_alpha(self.frame.format.name)


@cache
def _has_alpha(pixel_format: str) -> bool:
    from av.video.format import VideoFormat

    return any(component.is_alpha for component in VideoFormat(pixel_format).components)


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[DecodedFrame]:
    """The frames of a stream from where the file stands, in the order in which they are shown."""
    from av.codec.context import CodecContext, ThreadType

    context = stream.codec_context
    context.options = dict(DECODING)
    if stream.metadata.get("alpha_mode") == "1" and context.name in _OPACITY_BESIDE:
        context.thread_count = 1  # frames then come with their packets
        beside = cast("VideoCodecContext", CodecContext.create(context.name, "r"))
        beside.options = dict(DECODING)
        beside.thread_count = 1
        for packet in container.demux(stream):
            yield from _with_opacity(packet, beside)
        return
    # A decoder holds a frame for each thread and as many for reference, up to 3 bytes a pixel.
    most = int(_MEMORY / (6 * max(1, stream.width * stream.height)))
    context.thread_type = ThreadType.AUTO
    context.thread_count = max(1, min(os.cpu_count() or 1, most))
    for frame in container.decode(stream):
        yield DecodedFrame(frame)


def _with_opacity(packet: Packet[VideoStream], beside: VideoCodecContext) -> Iterator[DecodedFrame]:
    import av

    frames = packet.decode()
    opacities: list[VideoFrame] = []
    if packet.has_sidedata(_BESIDE):
        coded = bytes(packet.get_sidedata(_BESIDE))[_BESIDE_NUMBER:]
        if coded:
            opacities = beside.decode(av.Packet(coded))
    for frame, opacity in zip_longest(frames, opacities[: len(frames)]):
        yield DecodedFrame(frame, opacity)
