"""What a report is made of: plain, frozen data. How it looks is decided elsewhere.

Text is plain text: whatever it holds is shown as it is. Images are tensors in [0, 1] of shape
(3 or 4, height, width), RGB in sRGB with an alpha channel where there is one. A title is above a
block, its caption below. Where it has a ``file``, the folder gets a file of that name as well.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import final

from torch import Tensor

from diffusion_geodesics.reporting.drawing import Drawing
from diffusion_geodesics.reporting.film_format import FilmFormat
from diffusion_geodesics.reporting.pixels import check_colours
from diffusion_geodesics.reporting.playback import Playback
from diffusion_geodesics.reporting.video_formats import Mp4


@final
@dataclass(frozen=True)
class Fact:
    """A figure worth seeing: what, how much, and a remark that explains it."""

    label: str
    value: str
    note: str = ""


@final
@dataclass(frozen=True)
class Facts:
    """Several figures, shown as cards."""

    items: Sequence[Fact]
    title: str = ""


@final
class Tone(Enum):
    """How a cell of a table stands out."""

    PLAIN = "plain"
    STRONG = "strong"
    GOOD = "good"
    BAD = "bad"
    FAINT = "faint"


@final
@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    detail: str = ""  # a second, smaller line, such as an interval
    tone: Tone = Tone.PLAIN
    hint: str = ""  # shown when one points at it


@final
@dataclass(frozen=True)
class Table:
    """Rows and columns; the first column names the rows."""

    head: Sequence[str | Cell]  # the columns' names, or empty
    rows: Sequence[Sequence[str | Cell]]  # as many cells in each as in ``head``
    title: str = ""
    note: str = ""
    numeric: bool = True  # whether columns after the first hold numbers, set to the right

    def __post_init__(self) -> None:
        lengths = {len(row) for row in self.rows} | ({len(self.head)} if self.head else set())
        if len(lengths) > 1:
            raise ValueError(f"got rows of {sorted(lengths)} cells; expected one length")


@final
@dataclass(frozen=True)
class Text:
    """Paragraphs, then the points of a list."""

    paragraphs: Sequence[str] = ()
    points: Sequence[str] = ()
    title: str = ""


@final
@dataclass(frozen=True, eq=False)
class Plot:
    """A drawing with a caption."""

    drawing: Drawing
    title: str = ""
    caption: str = ""
    file: str = ""  # name of an SVG file to be written, for a drawing of one picture


@final
@dataclass(frozen=True, eq=False)
class Picture:
    """One image, or several close together."""

    images: Sequence[Tensor]  # each of shape (3 or 4, height, width), of any sizes
    caption: str = ""
    alt: str = ""  # what it shows, for those who do not see it; the caption by default

    def __post_init__(self) -> None:
        if not len(self.images):
            raise ValueError(f"{self.caption or 'a picture'}: got no image")
        for image in self.images:
            check_colours(image, self.caption or "a picture")


@final
@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures side by side."""

    items: Sequence[Picture]
    title: str = ""
    caption: str = ""


@final
@dataclass(frozen=True, eq=False)
class FilmRow:
    """The frames of one path."""

    name: str
    frames: Tensor  # shape (n, 3 or 4, height, width)
    captions: Sequence[str] = ()  # one for each frame, such as "t = 0.25", or none at all

    def __post_init__(self) -> None:
        check_colours(self.frames, self.name)
        if self.captions and len(self.captions) != len(self.frames):
            raise ValueError(
                f"{self.name}: got {len(self.captions)} captions for {len(self.frames)} frames"
            )


@final
@dataclass(frozen=True, eq=False)
class Film:
    """Strips of frames: all frames of one path, or a labelled row for each of several.

    Several rows are thinned to as many frames as the shortest has, and to at most ``columns``, at
    the same relative positions in each.
    """

    rows: Sequence[FilmRow]  # one or more
    title: str = ""
    caption: str = ""
    file: str = ""  # name of a PNG file with the strip, such as "strip.png"
    columns: int = 9  # most frames in one row

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError(f"{self.title or 'a film'}: got no row of frames")
        if self.columns < 2:
            raise ValueError(f"columns must be at least 2, got {self.columns}")


@final
@dataclass(frozen=True, eq=False)
class VideoClip:
    """A film that plays."""

    frames: Tensor  # shape (n, 3 or 4, height, width)
    name: str = "morph"  # of the files, without their ends
    formats: Sequence[FilmFormat] = (Mp4(),)  # of the files to be written
    playback: Playback = field(default_factory=Playback)
    rests: Collection[int] | None = None  # frames on which it rests; see `Playback.shown`
    title: str = ""
    caption: str = ""
    alt: str = ""  # what it shows, for those who do not see it; the caption by default

    def __post_init__(self) -> None:
        check_colours(self.frames, self.name)


Block = Facts | Table | Text | Plot | Pictures | Film | VideoClip


@final
@dataclass(frozen=True, eq=False)
class Section:
    """A part of a report."""

    title: str  # its heading; empty for none
    blocks: Sequence[Block]
    note: str = ""
    warning: str = ""  # why its figures mean little; empty where they do not
    folded: bool = False  # shown only when it is asked for


def time_captions(t: Tensor | Sequence[float], symbol: str = "t") -> tuple[str, ...]:
    """Captions of frames: "t = 0.25" and so on."""
    values = t.tolist() if isinstance(t, Tensor) else t
    return tuple(f"{symbol} = {value:.2f}" for value in values)
