"""Films as files: frames, how they play, and a format for each file."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.reporting.film_format import FilmFormat, FrameSequence
from diffusion_geodesics.reporting.image_formats import Apng, Gif, PngSequence, WebP
from diffusion_geodesics.reporting.pixels import (
    check_colours,
    drop_opaque_alpha,
    on_background,
    to_image,
)
from diffusion_geodesics.reporting.playback import Playback
from diffusion_geodesics.reporting.upscaling import Upscaler
from diffusion_geodesics.reporting.video_formats import Av1, Ffv1, Mp4, Mp4FullChroma, ProRes, WebM

CHUNK = 8
"""Frames that are given to an upscaler at a time."""
FORMATS: Mapping[str, FilmFormat] = {
    "mp4": Mp4(),
    "mp4-444": Mp4FullChroma(),
    "webm": WebM(),
    "av1": Av1(),
    "prores": ProRes(),
    "ffv1": Ffv1(),
    "gif": Gif(),
    "webp": WebP(),
    "apng": Apng(),
    "png": PngSequence(),
}
"""Every format by the name that settings give it."""


@final
@dataclass(frozen=True)
class FilmFile:
    """A film that was written."""

    path: Path  # of the file, or of the folder of a `PngSequence`
    format: FilmFormat  # that it is in
    # frames, rate, size: see `Encoded`
    frames: int
    rate: Fraction
    size: tuple[int, int]
    has_alpha: bool  # whether it has an alpha channel
    # sentences on what differs from what was asked, each beginning with the file's name
    notes: tuple[str, ...] = ()


def film_format(name: str) -> FilmFormat:
    """The format with a name."""
    if name not in FORMATS:
        raise ValueError(f"there is no film format {name!r}; there are {', '.join(FORMATS)}")
    if problem := FORMATS[name].problem():
        raise ValueError(f"{name} cannot be written: {problem}")
    return FORMATS[name]


def write_films(
    frames: Float[Tensor, "frames channels height width"],
    folder: Path,
    formats: Sequence[FilmFormat],
    playback: Playback | None = None,
    *,
    stem: str = "morph",
    rests: Collection[int] | None = None,
) -> tuple[FilmFile, ...]:
    """Write a film, one file for each format."""
    playback = playback or Playback()
    check_colours(frames, stem)
    if not formats:
        raise ValueError("got no film format; give at least one, such as Mp4()")
    if len({kind.suffix for kind in formats}) < len(formats):
        raise ValueError(f"got two formats for one file name: {', '.join(map(str, formats))}")
    for kind in formats:
        if problem := kind.problem():
            raise ValueError(f"{stem}{kind.suffix} cannot be written: {problem}")
    shown = tuple(playback.shown(len(frames), rests))
    images = tuple(map(to_image, _upscaled(drop_opaque_alpha(frames), playback.upscale)))
    sequence = FrameSequence(images, shown, playback.rate, playback.order.repeats)
    opaque = replace(sequence, images=tuple(on_background(i, playback.background) for i in images))
    return tuple(
        _write(kind, sequence, opaque, folder / f"{stem}{kind.suffix}") for kind in formats
    )


def _write(
    kind: FilmFormat, sequence: FrameSequence, opaque: FrameSequence, path: Path
) -> FilmFile:
    given = sequence if kind.keeps_alpha else opaque
    done = kind.write(given, path)
    notes = list(done.notes)
    if sequence.has_alpha and not kind.keeps_alpha:
        notes.append("this format keeps no transparency, which was laid on the background colour")
    named = tuple(f"{path.name}: {note}." for note in notes)
    return FilmFile(path, kind, done.frames, done.rate, done.size, given.has_alpha, named)


def _upscaled(
    frames: Float[Tensor, "frames channels height width"], upscale: Upscaler
) -> list[Float[Tensor, "channels larger_height larger_width"]]:
    found: list[Tensor] = []
    for chunk in frames.float().cpu().split(CHUNK):
        larger = upscale(chunk)
        if (
            not isinstance(larger, Tensor)
            or larger.shape[:2] != chunk.shape[:2]
            or larger.dim() != 4
        ):
            got = tuple(larger.shape) if isinstance(larger, Tensor) else type(larger).__name__
            raise ValueError(
                f"the upscaler was given {tuple(chunk.shape)} and returned {got}; expected as many "
                "frames with as many channels"
            )
        if not bool(torch.isfinite(larger).all()):
            raise ValueError("the upscaler returned values that are not finite")
        found.extend(larger.detach().float().cpu().clamp(0, 1))
    if len({frame.shape for frame in found}) > 1:
        raise ValueError("the upscaler returned frames of different sizes")
    return found
