"""Video frames as pixels: upright, square, opaque, in sRGB."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics.clips._colour import Colours
from diffusion_geodesics.clips._decoding import DecodedFrame
from diffusion_geodesics.clips.clip import ClipError
from diffusion_geodesics.images.guard import detail
from diffusion_geodesics.images.limits import shrunk_size

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_LARGEST_ASPECT = 4.0
"""Ratio of a pixel's edges above which it is taken for a mistake; half-height video has 2."""

_FORMATS = ("rgb24", "rgba")
_DEEP_FORMATS = ("rgb48le", "rgba64le")
"""FFmpeg's names of what pixels are read as, without and with opacity."""
_LUMA = "gray"
_LARGEST = {1: 255.0, 2: 65535.0}

_SIZE = 36
_OBLIQUE = 0.02  # share of a matrix off the axes above which an angle is no quarter turn


@final
@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to put a picture upright, by the display matrix as FFmpeg gives it.

    It is :math:`(a, b, u; c, d, v; x, y, w)` of 32-bit integers, and shows the pixel at (p, q) at
    :math:`(a p + c q + x, b p + d q + y) / (u p + v q + w)` (ISO/IEC 14496-12, 6.2.2).
    """

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


@final
@dataclass(frozen=True)
class FrameLayout:
    """What all frames of a clip are brought to."""

    width: int  # with square pixels, before they are turned
    height: int
    # That of the first frame, read once: FFmpeg's side data and its frame refer to each other, so
    # that a frame whose side data was read stays in memory until the garbage collector finds both.
    orientation: Orientation
    notes: tuple[str, ...] = ()  # what was done, in words

    @classmethod
    def of(cls, decoded: DecodedFrame, aspect: float, name: str) -> FrameLayout:
        """That of a clip's first frame."""
        frame = decoded.frame
        notes = [*Colours.of(frame, name).notes]
        width, height = found = frame.width, frame.height
        if not 1 / _LARGEST_ASPECT <= aspect <= _LARGEST_ASPECT:
            notes.append(f"its pixels are {aspect:.3g} times as wide as high; taken as square")
        else:
            width, height = round(width * max(1.0, aspect)), round(height / min(1.0, aspect))
        if (width, height) != found:
            resized = f"from {found[0]}x{found[1]} to {width}x{height}"
            notes.append(f"its pixels are not square: resized {resized}")
        small = shrunk_size(width, height)
        if small != (width, height):
            notes.append(f"scaled down from {width}x{height} to {small[0]}x{small[1]}")
        if decoded.has_alpha:
            notes.append("its transparency was laid on white")
        if frame.interlaced_frame:
            notes.append("it is interlaced: lines of a frame are of two moments")
        orientation = Orientation.of(frame)
        notes += [orientation.note] if orientation.note else []
        return cls(*small, orientation, tuple(notes))


def read_pixels(decoded: DecodedFrame, layout: FrameLayout, name: str) -> Tensor:
    """The frame's pixels, (3, height, width) with values in [0, 1]."""
    frame = decoded.frame
    colours = Colours.of(frame, name)
    inside = decoded.has_alpha and decoded.opacity is None
    try:
        kind = (_DEEP_FORMATS if colours.deep else _FORMATS)[inside]
        values = _converted(frame, kind, layout, colours.matrix)
        opacity = values[..., 3] if inside else None
        if decoded.opacity is not None:
            opacity = _converted(decoded.opacity, _LUMA, layout, colours.matrix)
    except Exception as error:
        raise ClipError(
            f"{name} has frames of {frame.format.name} that cannot be converted to RGB "
            f"({detail(error).lower()}); re-encode it as yuv420p"
        ) from error
    pixels = colours.to_srgb(values[..., :3])
    if opacity is not None:
        alpha = torch.from_numpy(opacity.astype(np.float32)).div_(_LARGEST[opacity.itemsize])
        pixels.mul_(alpha).add_(1.0 - alpha)
    return layout.orientation.apply(pixels)


def _converted(frame: VideoFrame, kind: str, layout: FrameLayout, matrix: int) -> np.ndarray:
    resized = (frame.width, frame.height) != (layout.width, layout.height)
    full = "JPEG" if kind == _LUMA else None  # luma that is opacity has no other range
    return frame.reformat(
        width=layout.width,
        height=layout.height,
        format=kind,
        src_colorspace=matrix,
        interpolation="LANCZOS" if resized else None,
        src_color_range=full,
        dst_color_range=full,
        threads=1,  # several overwrite each other's first pixels where a width is odd
    ).to_ndarray()
