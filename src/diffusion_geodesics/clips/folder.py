"""A folder of pictures as a clip."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import final

from torch import Tensor

from diffusion_geodesics.clips.clip import Clip, ClipError, LazyFrame, check_size
from diffusion_geodesics.clips.reading import Moment
from diffusion_geodesics.clips.times import even_times
from diffusion_geodesics.images import ImageError, read_image
from diffusion_geodesics.runtime.paths import expand, printable

SUFFIXES = frozenset(".png .jpg .jpeg .webp .tif .tiff .bmp .ppm .avif".split())
"""How the names of pictures end that a folder is searched for."""


@final
class FolderClip(Clip):
    """The pictures of a folder in natural order (frame2 before frame10).

    Hidden files and files of other kinds are left out. Transparency is laid on white.
    """

    def __init__(self, path: str | os.PathLike[str], rate: float = 25.0):
        self.path = expand(path)
        self.name = printable(self.path.resolve().name)
        if not rate > 0:
            raise ValueError(f"rate is {rate}; expected a positive number of frames a second")
        self.rate = float(rate)
        self.files = _pictures_in(self.path)
        self.times = even_times(len(self.files), self.rate)
        first = self._load(self.files[0])
        self.size = check_size(printable(self.path), (int(first.shape[1]), int(first.shape[2])))

    def pictures(self, start: Moment | None) -> Iterator[LazyFrame]:
        for i, (time, file) in enumerate(zip(self.times, self.files, strict=True)):
            yield LazyFrame(i, float(time), lambda file=file: self._sized(file))

    def _load(self, file: Path) -> Tensor:
        try:
            picture = read_image(file)
        except ImageError as error:
            raise ClipError(str(error)) from error
        if picture.alpha is not None:
            note = "pictures are transparent in places, which were laid on white"
            self.notes = tuple(dict.fromkeys((*self.notes, note)))
        return picture.on(1.0)

    def _sized(self, file: Path) -> Tensor:
        image = self._load(file)
        height, width = int(image.shape[1]), int(image.shape[2])
        if (height, width) != self.size:
            raise ClipError(
                f"{printable(file)} is {width}x{height}, the first frame "
                f"{self.size[1]}x{self.size[0]}; frames of one clip have one size"
            )
        return image


def _pictures_in(folder: Path) -> list[Path]:
    try:
        found = [f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES and f.is_file()]
    except OSError as error:
        message = f"{printable(folder)} cannot be read ({error.strerror}); check the path"
        raise ClipError(message) from error
    files = sorted((f for f in found if not f.name.startswith(".")), key=natural)
    if len(files) < 2:
        what = "one picture" if files else "no pictures"
        expected = "expected the frames of a clip, as PNG, JPEG or WebP"
        raise ClipError(f"{printable(folder)} holds {what}; {expected}")
    return files


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts numbers in names by value."""
    parts = re.split(r"(\d+)", path.name.lower())
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p)
