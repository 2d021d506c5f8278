"""Films as files: frames, how they play, and a format for each file."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from diffusion_geodesics.reporting import image_formats, pixels, video_formats
from diffusion_geodesics.reporting.film_format import FilmFormat, FrameSequence
from diffusion_geodesics.reporting.pixels import Frames
from diffusion_geodesics.reporting.playback import Playback, Upscaler

CHUNK = 8  # frames that are given to an upscaler at a time
FORMATS: Mapping[str, FilmFormat] = {
    "mp4": video_formats.Mp4(),
    "mp4-444": video_formats.Mp4FullChroma(),
    "webm": video_formats.WebM(),
    "av1": video_formats.Av1(),
    "prores": video_formats.ProRes(),
    "ffv1": video_formats.Ffv1(),
    "gif": image_formats.Gif(),
    "webp": image_formats.WebP(),
    "apng": image_formats.Apng(),
    "png": image_formats.PngSequence(),
}
"""Every format by the name that settings give it."""


@final
@dataclass(frozen=True)
class FilmFile:
    """A film that was written; frames, rate and size are those of `Encoded`."""

    path: Path  # of the file, or of the folder of a `PngSequence`
    format: FilmFormat
    frames: int
    rate: Fraction
    size: tuple[int, int]
    has_alpha: bool
    notes: tuple[str, ...] = ()  # sentences on what differs from what was asked


def film_format(name: str) -> FilmFormat:
    """The format with a name, if it can be written on this machine."""
    if name not in FORMATS:
        raise ValueError(f"there is no film format {name!r}; there are {', '.join(FORMATS)}")
    if problem := FORMATS[name].problem():
        raise ValueError(f"{name} cannot be written: {problem}")
    return FORMATS[name]


def write_films(
    frames: Frames,
    folder: Path,
    formats: Sequence[FilmFormat],
    playback: Playback | None = None,
    *,
    stem: str = "morph",
    rests: Collection[int] | None = None,
) -> tuple[FilmFile, ...]:
    """Write a film into a folder, one file ``stem`` for each format.

    Frames are RGB or RGBA in [0, 1]; an alpha channel that is 1 everywhere is left out. The film
    rests on the frames ``rests``; see `Playback.shown`.
    """
    playback = playback or Playback()
    pixels.check_colours(frames, stem)
    if not formats:
        raise ValueError("got no film format; give at least one, such as Mp4()")
    if len({kind.suffix for kind in formats}) < len(formats):
        raise ValueError(f"got two formats for one file name: {', '.join(map(str, formats))}")
    for kind in formats:
        if problem := kind.problem():
            raise ValueError(f"{stem}{kind.suffix} cannot be written: {problem}")
    shown = tuple(playback.shown(len(frames), rests))
    upscaled = _upscaled(pixels.drop_opaque_alpha(frames), playback.upscale)
    images = tuple(map(pixels.to_image, upscaled))
    sequence = FrameSequence(images, shown, playback.rate, playback.order.repeats)
    laid = tuple(pixels.on_background(image, playback.background) for image in images)
    opaque = replace(sequence, images=laid)
    paths = [folder / f"{stem}{kind.suffix}" for kind in formats]
    return tuple(
        _write(kind, sequence, opaque, path) for kind, path in zip(formats, paths, strict=True)
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


def _upscaled(frames: Frames, upscale: Upscaler) -> list[Tensor]:
    found: list[Tensor] = []
    for chunk in frames.float().cpu().split(CHUNK):
        larger = upscale(chunk)
        got = tuple(larger.shape) if isinstance(larger, Tensor) else type(larger).__name__
        if not isinstance(got, tuple) or len(got) != 4 or got[:2] != tuple(chunk.shape[:2]):
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
