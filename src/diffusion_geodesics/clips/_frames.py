"""Video frames as pixels: upright, square, opaque, in sRGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics.clips._colour import Colours
from diffusion_geodesics.clips._decoding import DecodedFrame
from diffusion_geodesics.clips._orientation import Orientation
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
