"""What every kind of clip offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor

from diffusion_geodesics.clips._error import ClipError
from diffusion_geodesics.clips.reading import Moment, Reading
from diffusion_geodesics.images.limits import SMALLEST_EDGE


@final
@dataclass(frozen=True)
class LazyFrame:
    """A frame that is known of and not yet converted."""

    index: int  # its number in the file, from 0
    time: float  # when it is shown, in seconds after the first
    # gives the pixels, upright, (3, height, width) with values in [0, 1]; valid until the next
    # frame is asked for
    load: Callable[[], Tensor]


@final
@dataclass(frozen=True, eq=False)
class Frame:
    """A frame at the working size."""

    index: int  # its number in the file, from 0
    # when it is shown, in seconds after the first frame of the file, as the file says; larger
    # than that of the frame before. Speeds are differences over differences of this.
    time: float
    image: Float[Tensor, "3 height width"]  # (3, height, width), values in [0, 1]


@dataclass(frozen=True)
class _Place:
    index: int
    time: float


class Clip(ABC):
    """A moving picture."""

    name: str
    size: tuple[int, int]
    times: Float64[np.ndarray, " frames"]
    tick: float = 0.0
    rate: float
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.times)

    @abstractmethod
    def pictures(self, start: Moment | None) -> Iterator[LazyFrame]:
        """All frames from the first, or from anywhere before ``start``, in order of time."""

    @final
    def frames(self, reading: Reading, fit: Callable[[Tensor], Tensor]) -> Iterator[Frame]:
        """The frames that are wanted, each brought to the working size as it is read, so that
        only one is ever held at full size."""
        if reading.fps is not None and reading.fps > 1.01 * self.rate:
            raise ClipError(
                f"{self.name} has {self.rate:.4g} frames a second, {reading.fps:g} were asked for; "
                "frames cannot be made up: ask for fewer"
            )
        for lazy in reading.select(self.pictures(reading.start), self.tick):
            yield Frame(lazy.index, lazy.time, fit(lazy.load()))

    @final
    def expected(self, reading: Reading) -> int:
        """How many frames a reading gives, if all of the file can be decoded."""
        places = (_Place(i, float(time)) for i, time in enumerate(self.times))
        return sum(1 for _ in reading.select(places, self.tick))


def check_size(name: str, size: tuple[int, int]) -> tuple[int, int]:
    """The size (height, width), if frames of it can be used."""
    if min(size) < SMALLEST_EDGE:
        raise ClipError(
            f"{name} is {size[1]}x{size[0]} pixels; expected at least {SMALLEST_EDGE} along each "
            "edge"
        )
    return size
