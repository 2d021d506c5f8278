"""Film strips: the frames of one path in order, or of several paths below each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, final

from diffusion_geodesics.report.data import Film
from diffusion_geodesics.report.pixels import fit_height, to_image

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont

_PAPER = (255, 255, 255)
_INK = (29, 29, 31)
_FAINT = (118, 118, 126)


@final
@dataclass(frozen=True)
class StripLayout:
    """Sizes of a strip, in pixels.

    Arguments:
        frame_height: height of every frame; frames are resized to it by Lanczos resampling.
        gap: space between neighbouring frames.
        margin: space around the strip.
        radius: radius of the frames' corners; 0 for square ones.
        text: size of the captions.
        columns: most frames in one row.
    """

    frame_height: int = 192
    gap: int = 6
    margin: int = 20
    radius: int = 6
    text: int = 18
    columns: int = 9

    def __post_init__(self) -> None:
        if self.frame_height < 8 or self.columns < 2 or self.text < 6:
            raise ValueError(
                f"too small to draw: {self}; frame_height >= 8, columns >= 2, text >= 6"
            )
        if min(self.gap, self.margin, self.radius) < 0:
            raise ValueError(f"sizes must not be negative: {self}")


def film_strip(
    film: Film, captions: Sequence[str] | None = None, layout: StripLayout | None = None
) -> Image:
    """Every frame of one film, wrapped into rows of nearly equal length.

    Arguments:
        film: the frames; n of them.
        captions: one line under each frame; by default its time, as "t = 0.25".
        layout: sizes.

    Raises:
        ValueError: captions that do not match the frames.
    """
    layout = layout or StripLayout()
    captions = [f"t = {t:.2f}" for t in film.t.tolist()] if captions is None else captions
    if len(captions) != len(film.frames):
        raise ValueError(f"got {len(captions)} captions for {len(film.frames)} frames")
    n = len(film.frames)
    columns = -(-n // -(-n // layout.columns))
    cells = [
        (divmod(i, columns), to_image(frame), caption)
        for i, (frame, caption) in enumerate(zip(film.frames, captions, strict=True))
    ]
    return _draw(cells, [], layout)


def compare_strip(films: Sequence[Film], layout: StripLayout | None = None) -> Image:
    """One labelled row per film, thinned to at most `layout.columns` frames, the ends kept.

    All rows have as many frames as the shortest film, at the same relative positions; times are
    written under the last row when every film has the same ones there.

    Raises:
        ValueError: no film.
    """
    layout = layout or StripLayout()
    if not films:
        raise ValueError("got no films to compare; expected at least one")
    shortest = min(len(film.frames) for film in films)
    places = [i / (shortest - 1) for i in thin(shortest, layout.columns)]
    shown = [[round(p * (len(film.frames) - 1)) for p in places] for film in films]
    times = [film.t[rows] for film, rows in zip(films, shown, strict=True)]
    same_times = all((t - times[0]).abs().max() < 5e-3 for t in times)
    cells = []
    for row, film in enumerate(films):
        for column, i in enumerate(shown[row]):
            last = same_times and row == len(films) - 1
            caption = f"t = {film.t[i].item():.2f}" if last else ""
            cells.append(((row, column), to_image(film.frames[i]), caption))
    return _draw(cells, [film.name for film in films], layout)


def thin(n: int, most: int) -> list[int]:
    """Indices of at most `most` of n frames, first and last among them, as even as possible.

    An exactly even choice is preferred to a larger uneven one while it keeps more than half.
    """
    if n <= most:
        return list(range(n))
    for count in range(most, most // 2, -1):
        if (n - 1) % (count - 1) == 0:
            return list(range(0, n, (n - 1) // (count - 1)))
    return [round(i * (n - 1) / (most - 1)) for i in range(most)]


def _draw(
    cells: list[tuple[tuple[int, int], Image, str]], labels: list[str], layout: StripLayout
) -> Image:
    """Paint ((row, column), image, caption) cells, with a label on the left of each row."""
    from PIL import Image, ImageDraw

    font, bold = _font(layout.text, "DejaVuSans.ttf"), _font(layout.text + 2, "DejaVuSans-Bold.ttf")
    images = [(place, fit_height(image, layout.frame_height), text) for place, image, text in cells]
    frame = images[0][1].size
    rows, columns = (1 + max(place[axis] for place, _, _ in images) for axis in (0, 1))
    # A row with captions is deeper than one without.
    captioned = {row for (row, _), _, text in images if text}
    depth = [layout.text + 10 if row in captioned else 0 for row in range(rows)]
    left = layout.margin
    if labels:
        left += round(max(bold.getlength(label) for label in labels)) + layout.text
    tops = [layout.margin + row * (frame[1] + layout.gap) + sum(depth[:row]) for row in range(rows)]
    size = (
        left + columns * (frame[0] + layout.gap) - layout.gap + layout.margin,
        tops[-1] + frame[1] + depth[-1] + (layout.margin if not depth[-1] else layout.margin // 2),
    )
    strip = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(strip)
    mask = _rounded(frame, layout.radius)
    for row, label in enumerate(labels):
        pen.text((layout.margin, tops[row] + frame[1] // 2), label, _INK, bold, anchor="lm")
    for (row, column), image, text in images:
        corner = (left + column * (frame[0] + layout.gap), tops[row])
        strip.paste(image, corner, mask)
        if text:
            foot = (corner[0] + frame[0] // 2, corner[1] + frame[1] + 5)
            pen.text(foot, text, _FAINT, font, anchor="mt")
    return strip


@cache
def _rounded(size: tuple[int, int], radius: int) -> Image:
    """A mask with rounded corners, smooth by drawing it four times too large."""
    from PIL import Image, ImageDraw

    width, height = size
    mask = Image.new("L", (4 * width, 4 * height), 0)
    box = (0, 0, 4 * width - 1, 4 * height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, 4 * radius, fill=255)
    return mask.resize(size, Image.Resampling.BOX)


@cache
def _font(size: int, file: str) -> FreeTypeFont:
    """A font that comes with matplotlib, so that strips look the same on every machine."""
    import matplotlib
    from PIL import ImageFont

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", file)), size)
