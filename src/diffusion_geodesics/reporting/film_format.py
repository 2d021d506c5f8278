"""What a kind of film file is, and what it is given to write."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import ClassVar, final

from PIL.Image import Image


@final
@dataclass(frozen=True, eq=False)
class FrameSequence:
    """Frames in the order in which they are shown."""

    images: tuple[Image, ...]  # the different frames, of one size, all RGB or all RGBA
    order: tuple[int, ...]  # indices of ``images``, one every ``1 / rate`` seconds
    rate: Fraction  # frames a second
    repeats: bool  # whether a player should begin again at the end

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.images[0].size

    @property
    def has_alpha(self) -> bool:
        """Whether the frames have an alpha channel."""
        return self.images[0].mode == "RGBA"

    def __iter__(self) -> Iterator[Image]:
        return (self.images[i] for i in self.order)

    def __len__(self) -> int:
        return len(self.order)


@final
@dataclass(frozen=True)
class Encoded:
    """What has become of a sequence in a file."""

    frames: int  # that the file shows, counted in units of ``1 / rate`` seconds
    rate: Fraction  # frames a second that the file reaches, on average
    size: tuple[int, int]  # width and height in pixels
    notes: tuple[str, ...] = ()  # sentences on what differs from what was asked


class FilmFormat(ABC):
    """A kind of film file. The same frames give the same bytes."""

    suffix: ClassVar[str]  # the end of file names; empty where a film is a folder
    keeps_alpha: ClassVar[bool]  # whether an alpha channel is kept
    media_type: ClassVar[str] = ""  # by which every browser can show it; empty where not all can

    def problem(self) -> str:
        """Why it cannot be written on this machine; empty where it can."""
        return ""

    @abstractmethod
    def write(self, frames: FrameSequence, path: Path) -> Encoded:
        """Write a new file. The frames have an alpha channel only if ``keeps_alpha``."""
