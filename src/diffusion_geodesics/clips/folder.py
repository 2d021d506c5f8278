"""Frames that are there one by one: a folder of pictures, or a tensor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.clips.clip import Clip, ClipError, Moment, Picture, check_size
from diffusion_geodesics.images import ImageError, load_image

SUFFIXES = frozenset(".png .jpg .jpeg .webp .tif .tiff .bmp .ppm".split())


@final
class FolderClip(Clip):
    """The pictures of a folder in natural order (frame2 before frame10), shown at ``rate``.

    Hidden files and files of other kinds are left out. Raises `ClipError` for a folder without
    two pictures, and for pictures of unequal sizes.
    """

    def __init__(self, path: str | Path, rate: float = 25.0):
        self.path = Path(path).expanduser()
        self.name = self.path.resolve().name
        if not rate > 0:
            raise ValueError(f"rate is {rate}; expected a positive number of frames a second")
        self.rate = float(rate)
        found = (f for f in self.path.iterdir() if f.suffix.lower() in SUFFIXES)
        self.files = sorted(
            (f for f in found if not f.name.startswith(".") and f.is_file()), key=natural
        )
        if len(self.files) < 2:
            what = "one picture" if self.files else "no pictures"
            raise ClipError(
                f"{self.path} holds {what}; expected the frames of a clip, as PNG, JPEG or WebP"
            )
        self.count = len(self.files)
        first = self._load(self.files[0])
        self.size = check_size(str(self.path), (int(first.shape[1]), int(first.shape[2])))

    def pictures(self, start: Moment | None) -> Iterator[Picture]:
        for i, file in enumerate(self.files):
            yield Picture(i, i / self.rate, lambda file=file: self._sized(file))

    def _load(self, file: Path) -> Tensor:
        try:
            return load_image(file)
        except ImageError as error:
            raise ClipError(str(error)) from error

    def _sized(self, file: Path) -> Tensor:
        image = self._load(file)
        if (height_width := (int(image.shape[1]), int(image.shape[2]))) != self.size:
            raise ClipError(
                f"{file} is {height_width[1]}x{height_width[0]}, the first frame "
                f"{self.size[1]}x{self.size[0]}; frames of one clip have one size"
            )
        return image


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts numbers in names by value."""
    parts = re.split(r"(\d+)", path.name.lower())
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in parts if p)


@final
@dataclass(frozen=True, eq=False)
class TensorClip(Clip):
    """Frames in memory.

    Args:
        images: (frames, 3, height, width), values in [0, 1]; at least two frames.
        name: what it is called in reports.
        rate: frames a second.
    """

    images: Float[Tensor, "frames 3 height width"]
    name: str = "clip"  # type: ignore[misc]
    rate: float = 25.0  # type: ignore[misc]

    def __post_init__(self) -> None:
        if len(self.images) < 2:
            raise ClipError(f"{self.name} has {len(self.images)} frame; a clip needs several")
        if not self.rate > 0:
            raise ValueError(f"rate is {self.rate}; expected a positive number")
        check_size(self.name, self.size)

    @property
    def size(self) -> tuple[int, int]:  # type: ignore[override]
        """(height, width)."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    @property
    def count(self) -> int:  # type: ignore[override]
        """Number of frames."""
        return len(self.images)

    def pictures(self, start: Moment | None) -> Iterator[Picture]:
        for i, image in enumerate(self.images):
            yield Picture(i, i / self.rate, lambda image=image: image)
