"""What every kind of clip offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from diffusion_geodesics.clips.reading import LazyFrame, Moment, Reading
from diffusion_geodesics.images.limits import SMALLEST_EDGE


class ClipError(ValueError):
    """A clip that cannot be used; the message says why and what to do."""


@final
@dataclass(frozen=True, eq=False)
class Frame:
    """A frame at the working size."""

    index: int  # its number in the file, from 0
    time: float  # seconds after the first frame, as the file says; speeds are taken over these
    image: Float[Tensor, "3 height width"]  # values in [0, 1]


class Clip(ABC):
    """A moving picture."""

    name: str  # what it is called in reports
    size: tuple[int, int]  # (height, width) of its frames, upright and with square pixels
    times: Float64[np.ndarray, " frames"]  # in seconds after the first; not falling
    tick: float = 0.0  # seconds to which the times are rounded; 0 where they are exact
    rate: float  # frames a second, on average
    notes: tuple[str, ...] = ()  # what must be known about the file, in words

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
        places = (LazyFrame(i, float(time), torch.empty) for i, time in enumerate(self.times))
        return sum(1 for _ in reading.select(places, self.tick))


def check_size(name: str, size: tuple[int, int]) -> tuple[int, int]:
    """The size (height, width), if frames of it can be used."""
    if min(size) < SMALLEST_EDGE:
        expected = f"expected at least {SMALLEST_EDGE} along each edge"
        raise ClipError(f"{name} is {size[1]}x{size[0]} pixels; {expected}")
    return size
