"""Films as animated images and as folders of images, through Pillow."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import accumulate, groupby, pairwise
from pathlib import Path
from typing import Any, ClassVar, final

from PIL.Image import Image

from diffusion_geodesics.reporting.film_format import Encoded, FilmFormat, FrameSequence

FASTEST_GIF = 50
"""Frames a second: players show frames of less than two hundredths of a second for ten."""
SLOWEST_SHORT_FRAME = 10
"""Milliseconds up to which browsers take a frame of an animated image to last 100."""


@final
@dataclass(frozen=True)
class Gif(FilmFormat):
    """Animated GIF: 256 colours a frame, no player needed.

    GIF counts time in hundredths of a second. Delays alternate so that the rate is held on average;
    above 50 frames a second, frames are left out so that the film lasts as long.
    """

    suffix: ClassVar[str] = ".gif"
    keeps_alpha: ClassVar[bool] = False
    media_type: ClassVar[str] = "image/gif"

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        shown = _thinned(frames, FASTEST_GIF)
        images, delays = _delays(shown, ticks=100)
        palettes = {i: shown.images[i].quantize(256) for i in set(images)}
        # Without `loop`, a player stops at the last frame.
        options = {"loop": 0} if frames.repeats else {}
        durations = [10 * delay for delay in delays]
        _save([palettes[i] for i in images], path, durations, disposal=1, **options)
        rate = Fraction(100 * len(shown), sum(delays))
        return Encoded(len(shown), rate, frames.size, _gif_notes(frames, shown, rate))


@final
@dataclass(frozen=True)
class WebP(FilmFormat):
    """Animated WebP: as simple to show as a GIF, in full colour and with alpha."""

    suffix: ClassVar[str] = ".webp"
    keeps_alpha: ClassVar[bool] = True
    media_type: ClassVar[str] = "image/webp"
    quality: int = 90  # 0 to 100

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        return _write_animation(frames, path, quality=self.quality, method=4)


@final
@dataclass(frozen=True)
class Apng(FilmFormat):
    """Animated PNG: every pixel as it was, with alpha, in large files."""

    suffix: ClassVar[str] = ".apng"
    keeps_alpha: ClassVar[bool] = True
    media_type: ClassVar[str] = "image/apng"

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        return _write_animation(frames, path, format="PNG")


@final
@dataclass(frozen=True)
class PngSequence(FilmFormat):
    """A folder of PNG files, 0000.png and on: the frames as they are shown, holds repeated."""

    suffix: ClassVar[str] = ""
    keeps_alpha: ClassVar[bool] = True

    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        path.mkdir()
        digits = max(4, len(str(len(frames) - 1)))
        first: dict[int, Path] = {}
        for number, i in enumerate(frames.order):
            file = path / f"{number:0{digits}d}.png"
            if i in first:
                shutil.copyfile(first[i], file)
            else:
                frames.images[i].save(file, format="PNG")
                first[i] = file
        return Encoded(len(frames), frames.rate, frames.size)


def _write_animation(frames: FrameSequence, path: Path, **options: Any) -> Encoded:
    """An animated image with delays in milliseconds."""
    images, delays = _delays(frames, ticks=1000)
    loop = 0 if frames.repeats else 1
    _save([frames.images[i] for i in images], path, delays, loop=loop, **options)
    note = "browsers show frames of 10 ms or less for 100 ms; at more than 90 frames a second take "
    notes = (note + "a video format",) if min(delays) <= SLOWEST_SHORT_FRAME else ()
    return Encoded(len(frames), frames.rate, frames.size, notes)


def _save(images: Sequence[Image], path: Path, durations: Sequence[int], **options: Any) -> None:
    """Write an animated image; durations are in milliseconds."""
    first, *rest = images
    if not rest:
        durations = durations[0]  # type: ignore[assignment]  # a list would be one too long
    first.save(path, save_all=True, append_images=rest, duration=durations, **options)


def _delays(frames: FrameSequence, ticks: int) -> tuple[list[int], list[int]]:
    """Frames that differ from the one before, and for how many ticks each is shown, of so many
    ``ticks`` in a second: the i-th frame begins at ``i / rate`` seconds, rounded."""
    runs = [(i, len(list(run))) for i, run in groupby(frames.order)]
    starts = accumulate((count for _, count in runs), initial=0)
    at = [round(ticks * start / frames.rate) for start in starts]
    return [i for i, _ in runs], [after - before for before, after in pairwise(at)]


def _thinned(frames: FrameSequence, fastest: int) -> FrameSequence:
    """The frames at a rate of at most ``fastest``, as long as before."""
    if frames.rate <= fastest:
        return frames
    count = max(1, round(len(frames) * fastest / frames.rate))
    order = tuple(frames.order[int(k * frames.rate / fastest)] for k in range(count))
    return replace(frames, order=order, rate=Fraction(fastest))


def _gif_notes(asked: FrameSequence, shown: FrameSequence, rate: Fraction) -> tuple[str, ...]:
    if shown is not asked:
        return (
            f"GIF shows at most {FASTEST_GIF} frames a second: {len(shown)} of {len(asked)} frames "
            f"are shown, and it lasts as long as at {float(asked.rate):.4g} frames a second",
        )
    if (100 / asked.rate).denominator == 1:
        return ()
    low = int(100 / asked.rate)
    return (
        f"GIF counts hundredths of a second: frames are shown for {low} or {low + 1} of them, "
        f"{float(rate):.4g} frames a second on average",
    )
