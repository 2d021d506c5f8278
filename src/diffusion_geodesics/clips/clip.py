"""What every kind of clip offers, and which of its frames are wanted."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

LEAST_EDGE = 16
"""Pixels along an edge below which a clip is refused."""


class ClipError(ValueError):
    """A clip that cannot be used; the message says why and what to do."""


class Moment(ABC):
    """A place in a clip."""

    @abstractmethod
    def reached(self, index: int, time: float) -> bool:
        """Whether the frame of this number, shown at this time in seconds, is there or later."""


@final
@dataclass(frozen=True)
class Seconds(Moment):
    """So many seconds after the first frame; 0 or more."""

    value: float

    def __post_init__(self) -> None:
        if not 0 <= self.value < math.inf:
            raise ValueError(f"got {self.value} seconds; expected a number of 0 or more")

    def reached(self, index: int, time: float) -> bool:
        return time >= self.value - 1e-6


@final
@dataclass(frozen=True)
class FrameNumber(Moment):
    """The frame of this number, counted from 0 in the file."""

    value: int

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError(f"got frame {self.value}; expected 0 or more")

    def reached(self, index: int, time: float) -> bool:
        return index >= self.value


@final
@dataclass(frozen=True)
class Reading:
    """Which frames of a clip are wanted.

    Args:
        fps: frames a second to keep, at most what the clip has: of each 1/fps seconds the first
            frame. All by default.
        start: the first frame that is wanted; the first of the clip by default.
        end: the first frame that is wanted no more; read to the end by default.
        stride: of the frames that are left, keep every ``stride``-th; at least 1.

    Raises:
        ValueError: a value out of range.
    """

    fps: float | None = None
    start: Moment | None = None
    end: Moment | None = None
    stride: int = 1

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise ValueError(f"fps is {self.fps}; expected a positive number")
        if self.stride < 1:
            raise ValueError(f"stride is {self.stride}; expected at least 1")


@final
@dataclass(frozen=True)
class Picture:
    """A frame that is known of and not yet converted.

    Args:
        index: its number in the file, from 0.
        time: when it is shown, in seconds after the first.
        load: gives the pixels, upright, (3, height, width) with values in [0, 1]; valid until the
            next picture is asked for.
    """

    index: int
    time: float
    load: Callable[[], Tensor]


@final
@dataclass(frozen=True, eq=False)
class Frame:
    """A frame at the working size.

    Args:
        index: its number in the file, from 0.
        time: when it is shown, in seconds after the first frame of the file.
        image: (3, height, width), values in [0, 1].
    """

    index: int
    time: float
    image: Float[Tensor, "3 height width"]


class Clip(ABC):
    """A moving picture.

    - `name`: what it is called in reports.
    - `size`: (height, width) of its frames, upright.
    - `rate`: frames a second, on average.
    - `count`: number of frames, where it is known without reading them all.
    - `notes`: what must be known about the file, in words.
    """

    name: str
    size: tuple[int, int]
    rate: float
    count: int | None
    notes: tuple[str, ...] = ()

    @abstractmethod
    def pictures(self, start: Moment | None) -> Iterator[Picture]:
        """All frames from the first, or from anywhere before ``start``, in order of time.

        Raises `ClipError` where the file is damaged.
        """

    @final
    def frames(self, reading: Reading, fit: Callable[[Tensor], Tensor]) -> Iterator[Frame]:
        """The frames that are wanted, each brought to the working size by ``fit`` as it is read,
        so that only one is ever held at full size.

        Raises `ClipError` for a frame rate above the clip's own, and where the file is damaged.
        """
        if reading.fps is not None and reading.fps > 1.01 * self.rate:
            raise ClipError(
                f"{self.name} has {self.rate:.4g} frames a second, {reading.fps:g} were asked for; "
                "frames cannot be made up: ask for fewer"
            )
        first: float | None = None
        slot, kept = -1, 0
        for picture in self.pictures(reading.start):
            if reading.end is not None and reading.end.reached(picture.index, picture.time):
                return
            if reading.start is not None and not reading.start.reached(picture.index, picture.time):
                continue
            first = picture.time if first is None else first
            if reading.fps is not None:
                at = math.floor((picture.time - first) * reading.fps + 1e-3)
                if at <= slot:
                    continue
                slot = at
            kept += 1
            if (kept - 1) % reading.stride == 0:
                yield Frame(picture.index, picture.time, fit(picture.load()))

    @final
    def expected(self, reading: Reading) -> int | None:
        """About how many frames a reading gives; None where that is not known."""
        if self.count is None:
            return None
        wanted = sum(
            1
            for i in range(self.count)
            if (reading.start is None or reading.start.reached(i, i / self.rate))
            and not (reading.end is not None and reading.end.reached(i, i / self.rate))
        )
        share = 1.0 if reading.fps is None else min(1.0, reading.fps / self.rate)
        return math.ceil(math.ceil(wanted * share) / reading.stride)


def check_size(name: str, size: tuple[int, int]) -> tuple[int, int]:
    """The size (height, width), if frames of it can be used.

    Raises:
        ClipError: an edge below 16 pixels.
    """
    if min(size) < LEAST_EDGE:
        raise ClipError(
            f"{name} is {size[1]}x{size[0]} pixels; expected at least {LEAST_EDGE} along each edge"
        )
    return size
