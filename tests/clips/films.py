"""Small films for the tests of clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics.clips import Clip, Reading

HEIGHT, WIDTH = 32, 48
FAULTS = Path(__file__).parents[2].parent / "shared" / "faults"
CLIPS = Path(__file__).parents[2].parent / "shared" / "data" / "clips"


def ramp(n: int = 12, height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Frames of a brightness that rises by the frame, brighter on the left."""
    level = torch.linspace(0.1, 0.7, n)[:, None, None, None]
    across = torch.linspace(0.2, 0.0, width)[None, None, None]
    return (level + across).expand(n, 3, height, width).clamp(0, 1)


def corner(n: int = 3, channels: int = 3, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """8-bit frames that differ in every corner, (n, height, width, channels)."""
    rows, columns = np.mgrid[0:height, 0:width]
    layers = [rows * 7, columns * 5, 60 + 0 * rows, np.where(columns < width // 2, 255, 51)]
    return np.repeat(np.stack(layers[:channels], -1).astype(np.uint8)[None], n, 0)


@dataclass(frozen=True)
class Coding:
    """How a film is written.

    Args:
        codec: FFmpeg's name of an encoder.
        pixels: FFmpeg's name of a pixel format.
        given: the same of the arrays.
        rate: frames a second.
        stamps: time stamps in units of 1/rate; even by default.
        tags: attributes of the encoder, such as `color_trc`.
        options: of the encoder.
        sound: seconds of silence beside.
    """

    codec: str = "libx264"
    pixels: str = "yuv420p"
    given: str = "rgb24"
    rate: int = 10
    stamps: Sequence[int] | None = None
    tags: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    sound: float = 0.0


def film(path: Path, frames: np.ndarray, coding: Coding | None = None) -> Path:
    """Write frames (n, height, width, channels) as a film."""
    how = coding or Coding()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(how.codec, rate=how.rate, options=dict(how.options))
        stream.height, stream.width = frames.shape[1:3]  # type: ignore[union-attr]
        stream.pix_fmt = how.pixels  # type: ignore[union-attr]
        stream.codec_context.thread_count = 1  # small frames need no more
        for name, value in how.tags.items():
            setattr(stream.codec_context, name, value)
        voice = container.add_stream("aac", rate=44100) if how.sound else None
        for k, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=how.given)
            frame = frame.reformat(format=how.pixels, threads=1)
            frame.pts = k if how.stamps is None else how.stamps[k]
            frame.time_base = Fraction(1, how.rate)
            container.mux(stream.encode(frame))  # type: ignore[union-attr]
        container.mux(stream.encode(None))  # type: ignore[union-attr]
        if voice is not None:
            for k in range(int(how.sound * 44100 / 1024)):
                silence = np.zeros((1, 1024), dtype=np.float32)
                block = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
                block.sample_rate, block.pts = 44100, 1024 * k
                container.mux(voice.encode(block))  # type: ignore[union-attr]
            container.mux(voice.encode(None))  # type: ignore[union-attr]
    return path


def as_bytes(images: Tensor) -> np.ndarray:
    """Images (n, 3, height, width) in [0, 1] as 8-bit frames."""
    return (images * 255).round().byte().permute(0, 2, 3, 1).numpy()


def same(image: Tensor) -> Tensor:
    """The image as it is."""
    return image


def times(clip: Clip, **reading: object) -> list[float]:
    """Times of the frames that a reading gives."""
    return [f.time for f in clip.frames(Reading(**reading), same)]  # type: ignore[arg-type]


def indices(clip: Clip, **reading: object) -> list[int]:
    """Numbers of the frames that a reading gives."""
    return [f.index for f in clip.frames(Reading(**reading), same)]  # type: ignore[arg-type]


def first(clip: Clip) -> Tensor:
    """The first frame's pixels."""
    return next(iter(clip.frames(Reading(), same))).image
