"""Which frames of a clip are wanted."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import final

from torch import Tensor


class Moment(ABC):
    """A place in a clip."""

    @abstractmethod
    def reached(self, index: int, time: float) -> bool:
        """Whether the frame of this number, shown at this time in seconds, is there or later."""


@final
@dataclass(frozen=True)
class Seconds(Moment):
    """A time in a clip."""

    value: float  # seconds after the first frame; 0 or more

    def __post_init__(self) -> None:
        if not 0 <= self.value < math.inf:
            raise ValueError(f"got {self.value} seconds; expected a number of 0 or more")

    def reached(self, index: int, time: float) -> bool:
        return time >= self.value - 1e-6


@final
@dataclass(frozen=True)
class FrameNumber(Moment):
    """A frame of a clip by its number."""

    value: int  # the number, counted from 0 in the file

    def __post_init__(self) -> None:
        if self.value < 0:
            raise ValueError(f"got frame {self.value}; expected 0 or more")

    def reached(self, index: int, time: float) -> bool:
        return index >= self.value


@final
@dataclass(frozen=True)
class LazyFrame:
    """A frame that is known of and not yet converted."""

    index: int  # its number in the file, from 0
    time: float  # when it is shown, in seconds after the first
    load: Callable[[], Tensor]  # (3, height, width) in [0, 1], upright, until the next is asked for


@final
@dataclass(frozen=True)
class Reading:
    """Which frames of a clip are wanted."""

    # frames a second to keep, at most what the clip has: of each 1/fps seconds the first frame.
    # All by default.
    fps: float | None = None
    start: Moment | None = None  # the first frame that is wanted; the first of the clip by default
    end: Moment | None = None  # the first frame that is wanted no more; read to the end by default
    stride: int = 1  # of the frames that are left, keep every ``stride``-th; at least 1

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise ValueError(f"fps is {self.fps}; expected a positive number")
        if self.stride < 1:
            raise ValueError(f"stride is {self.stride}; expected at least 1")

    def select(self, frames: Iterable[LazyFrame], tick: float) -> Iterator[LazyFrame]:
        """Those frames that are wanted."""
        first: float | None = None
        slot, kept = -1, 0
        for frame in frames:
            if self.end is not None and self.end.reached(frame.index, frame.time):
                return
            if self.start is not None and not self.start.reached(frame.index, frame.time):
                continue
            first = frame.time if first is None else first
            if self.fps is not None:
                at = math.floor((frame.time - first + 0.5 * tick) * self.fps + 1e-3)
                if at <= slot:
                    continue
                slot = at
            kept += 1
            if (kept - 1) % self.stride == 0:
                yield frame
