r"""Which way up a video frame is: the display matrix, as FFmpeg gives it.

It is :math:`\begin{pmatrix} a & b & u \\ c & d & v \\ x & y & w \end{pmatrix}` of 32-bit integers,
and shows the pixel at (p, q) at :math:`(a p + c q + x, b p + d q + y) / (u p + v q + w)`
(ISO/IEC 14496-12, 6.2.2).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from torch import Tensor

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_SIZE = 36
_OBLIQUE = 0.02
"""Share of a matrix off the axes above which an angle is no quarter turn."""


@final
@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to put a picture upright."""

    transposed: bool = False  # whether rows become columns, first
    mirrored: bool = False  # whether left and right are exchanged, then
    upside_down: bool = False  # whether top and bottom are exchanged, then
    note: str = ""  # a word where the file asks for something else

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """That of a frame's display matrix; the nearest quarter turn where it is oblique."""
        try:
            matrix = bytes(frame.side_data["DISPLAYMATRIX"])  # type: ignore[typeddict-item]
        except KeyError:
            return cls()
        if len(matrix) < _SIZE:
            return cls(note="its display matrix is damaged; not turned")
        a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:_SIZE])
        straight, across = abs(a) + abs(d), abs(b) + abs(c)
        if a * d - b * c == 0:
            return cls(note="its display matrix shows nothing; not turned")
        oblique = min(straight, across) > _OBLIQUE * max(straight, across)
        note = "it is to be turned by no quarter; the nearest one was taken" if oblique else ""
        if across > straight:
            return cls(True, c < 0, b < 0, note)
        return cls(False, a < 0, d < 0, note)

    def apply(self, image: Tensor) -> Tensor:
        """The picture (channels, height, width), upright."""
        if self.transposed:
            image = image.transpose(1, 2)
        flipped = [k for k, flip in ((2, self.mirrored), (1, self.upside_down)) if flip]
        return (image.flip(flipped) if flipped else image).contiguous()
