"""A film as one image: the frames of one path in order, or of several paths below each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import final

from PIL import Image, ImageChops, ImageDraw, ImageFont

from diffusion_geodesics.reporting.blocks import Film, FilmRow
from diffusion_geodesics.reporting.pixels import fit_height, to_image
from diffusion_geodesics.runtime.jsonable import unicode_text

_PAPER, _INK, _FAINT = (255, 255, 255), (29, 29, 31), (118, 118, 126)


@final
@dataclass(frozen=True)
class StripLayout:
    """Sizes of a strip, in pixels."""

    frame_height: int = 192  # to which frames are resized by Lanczos resampling
    gap: int = 6  # space between neighbouring frames
    margin: int = 20  # space around the strip
    radius: int = 6  # radius of the frames' corners; 0 for square ones
    text: int = 18  # size of the captions

    def __post_init__(self) -> None:
        if self.frame_height < 8 or self.text < 6:
            raise ValueError(f"too small to draw: {self}; frame_height >= 8, text >= 6")
        if min(self.gap, self.margin, self.radius) < 0:
            raise ValueError(f"sizes must not be negative: {self}")


@final
@dataclass(frozen=True, eq=False)
class ShownRow:
    """The frames of a row that are shown, and a caption for each, if any."""

    row: FilmRow
    indices: Sequence[int]
    captions: Sequence[str]


def shown_rows(film: Film) -> list[ShownRow]:
    """The frames of every row that are shown.

    Of a single row those are all. Captions that are the same in all rows are kept in the last only.
    """
    if len(film.rows) == 1:
        (row,) = film.rows
        return [ShownRow(row, range(len(row.frames)), row.captions)]
    shortest = min(len(row.frames) for row in film.rows)
    places = [i / max(shortest - 1, 1) for i in thin(shortest, film.columns)]
    found = []
    for row in film.rows:
        indices = [round(place * (len(row.frames) - 1)) for place in places]
        found.append(ShownRow(row, indices, [row.captions[i] for i in indices if row.captions]))
    if len({tuple(shown.captions) for shown in found}) == 1:
        found = [ShownRow(s.row, s.indices, ()) for s in found[:-1]] + found[-1:]
    return found


def thin(n: int, most: int) -> list[int]:
    """Indices of at most ``most`` of n frames, first and last among them, as even as possible.

    An exactly even choice is preferred to a larger uneven one while it keeps more than half.
    """
    if n <= most:
        return list(range(n))
    for count in range(most, most // 2, -1):
        if (n - 1) % (count - 1) == 0:
            return list(range(0, n, (n - 1) // (count - 1)))
    return [round(i * (n - 1) / (most - 1)) for i in range(most)]


def film_strip(film: Film, layout: StripLayout | None = None) -> Image.Image:
    """The film as one image, on white.

    A single row is wrapped into lines of nearly equal length. Several are labelled on the left.
    """
    layout = layout or StripLayout()
    rows = shown_rows(film)
    columns = n = len(rows[0].indices)
    if len(rows) == 1:
        columns = -(-n // -(-n // film.columns))
    cells, texts = [], {}
    for number, shown in enumerate(rows):
        places = [divmod(number * columns + i, columns) for i in range(n)]
        frames = [to_image(shown.row.frames[i]) for i in shown.indices]
        cells += zip(places, frames, strict=True)
        texts |= dict(zip(places, shown.captions, strict=False))
    labels = [unicode_text(shown.row.name) for shown in rows] if len(rows) > 1 else []
    return _drawn(cells, texts, labels, layout)


def _drawn(
    cells: Sequence[tuple[tuple[int, int], Image.Image]],
    texts: dict[tuple[int, int], str],
    labels: list[str],
    layout: StripLayout,
) -> Image.Image:
    """Paint images at their (row, column), with texts below and a label on the left of each row."""
    font, bold = _font(layout.text, "DejaVuSans.ttf"), _font(layout.text + 2, "DejaVuSans-Bold.ttf")
    images = [(place, fit_height(image, layout.frame_height)) for place, image in cells]
    width, height = max(image.width for _, image in images), layout.frame_height
    rows, columns = (1 + max(place[axis] for place, _ in images) for axis in (0, 1))
    # A row with captions is deeper than one without.
    depth = [
        layout.text + 10 if any(row == at and text for (at, _), text in texts.items()) else 0
        for row in range(rows)
    ]
    left = layout.margin
    if labels:
        left += round(max(bold.getlength(label) for label in labels)) + layout.text
    tops = [layout.margin + row * (height + layout.gap) + sum(depth[:row]) for row in range(rows)]
    size = (
        left + columns * (width + layout.gap) - layout.gap + layout.margin,
        tops[-1] + height + depth[-1] + (layout.margin if not depth[-1] else layout.margin // 2),
    )
    strip = Image.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(strip)
    for row, label in enumerate(labels):
        pen.text((layout.margin, tops[row] + height // 2), label, _INK, bold, anchor="lm")
    for (row, column), image in images:
        corner = (left + column * (width + layout.gap) + (width - image.width) // 2, tops[row])
        strip.paste(image.convert("RGB"), corner, _mask(image, layout.radius))
        if text := texts.get((row, column)):
            foot = (corner[0] + image.width // 2, corner[1] + height + 5)
            pen.text(foot, unicode_text(text), _FAINT, font, anchor="mt")
    return strip


def _mask(image: Image.Image, radius: int) -> Image.Image:
    """Rounded corners, and the image's own alpha channel where it has one."""
    mask = _rounded(image.size, radius)
    return ImageChops.multiply(mask, image.getchannel("A")) if image.mode == "RGBA" else mask


@cache
def _rounded(size: tuple[int, int], radius: int) -> Image.Image:
    """A mask with rounded corners, smooth by drawing it four times too large."""
    width, height = size
    mask = Image.new("L", (4 * width, 4 * height), 0)
    box = (0, 0, 4 * width - 1, 4 * height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, 4 * radius, fill=255)
    return mask.resize(size, Image.Resampling.BOX)


@cache
def _font(size: int, file: str) -> ImageFont.FreeTypeFont:
    """A font that comes with matplotlib, so that strips look the same on every machine."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path(), "fonts", "ttf", file)), size)
