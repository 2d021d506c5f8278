"""Which frames of a film are shown when, and how large."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, final

import torch
from PIL.Image import Resampling
from torch import Tensor

from diffusion_geodesics.reporting.pixels import WHITE, Colour, Frames, Larger, to_image, to_pixels

Upscaler = Callable[[Tensor], Tensor]
"""Takes frames of shape (n, channels, height, width) in [0, 1] and returns as many larger ones with
the same channels: RGB, and alpha where there is one. It is given a few frames at a time."""


@final
@dataclass(frozen=True)
class Lanczos:
    """Lanczos resampling by a whole factor; colours are weighted by alpha."""

    factor: int = 1  # 1 to 16; 1 leaves frames as they are

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= 16:
            raise ValueError(f"factor must be 1 to 16, got {self.factor}")

    def __call__(self, frames: Frames) -> Larger:
        return _enlarged(frames, self.factor)


@final
@dataclass(frozen=True)
class LanczosToHeight:
    """Lanczos resampling by the smallest whole factor that gives at least a height."""

    height: int = 384  # in pixels, at least 1; frames that are as high already stay as they are

    def __post_init__(self) -> None:
        if self.height < 1:
            raise ValueError(f"height must be at least 1 pixel, got {self.height}")

    def __call__(self, frames: Frames) -> Larger:
        return _enlarged(frames, -(-self.height // frames.shape[2]))


def _enlarged(frames: Frames, factor: int) -> Larger:
    if factor == 1:
        return frames
    size = (frames.shape[3] * factor, frames.shape[2] * factor)
    return torch.stack([to_pixels(to_image(f).resize(size, Resampling.LANCZOS)) for f in frames])


class Order(ABC):
    """The order in which the n frames of a film are shown."""

    repeats: ClassVar[bool]  # whether a player should begin again at the end, where it can

    @abstractmethod
    def indices(self, n: int) -> list[int]:
        """The indices 0 to n - 1 in the order of one round."""

    def ends(self, n: int) -> set[int]:
        """The frames on which a film of n frames rests if nothing else is said."""
        return {0, n - 1}


@final
@dataclass(frozen=True)
class Once(Order):
    """From the first frame to the last, where the film stops."""

    repeats: ClassVar[bool] = False

    def indices(self, n: int) -> list[int]:
        return list(range(n))


@final
@dataclass(frozen=True)
class ThereAndBack(Order):
    """From the first frame to the last and back, without end. No frame is doubled at a turn."""

    repeats: ClassVar[bool] = True

    def indices(self, n: int) -> list[int]:
        return [*range(n), *range(n - 2, 0, -1)]


@final
@dataclass(frozen=True)
class Loop(Order):
    """From the first frame to the last and from there to the first again, without end.

    For a closed film, whose last frame is one step before the first; it rests on the first only.
    """

    repeats: ClassVar[bool] = True

    def indices(self, n: int) -> list[int]:
        return list(range(n))

    def ends(self, n: int) -> set[int]:
        return {0}


@final
@dataclass(frozen=True)
class Playback:
    """How a film plays."""

    fps: float | Fraction = 10  # frames a second, 1 to 120, such as 23.976
    hold: int = 5  # how often a frame is shown on which the film rests, at least 1
    order: Order = field(default_factory=ThereAndBack)
    upscale: Upscaler = field(default_factory=LanczosToHeight)  # applied to every frame
    background: Colour = WHITE  # that frames are laid on where a format cannot keep their alpha

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 120:
            raise ValueError(f"fps must be 1 to 120, got {self.fps}")
        if self.hold < 1:
            raise ValueError(f"hold must be at least 1 frame, got {self.hold}")
        if not all(0 <= c <= 1 for c in self.background):
            raise ValueError(f"background must lie in [0, 1], got {self.background}")

    @property
    def rate(self) -> Fraction:
        """Frames a second as a fraction with a denominator of at most 1001."""
        return Fraction(self.fps).limit_denominator(1001)

    def shown(self, n: int, rests: Collection[int] | None = None) -> list[int]:
        """Indices of the frames of a film of n frames as they are shown, one every 1/fps seconds.

        It rests on the frames ``rests``, such as keyframes; by default on those of the order.
        """
        if n < 1:
            raise ValueError("got a film without frames")
        held = self.order.ends(n) if rests is None else set(rests)
        if strange := sorted(i for i in held if not 0 <= i < n):
            raise ValueError(f"got rests at {strange} in a film of {n} frames, 0 to {n - 1}")
        return [i for i in self.order.indices(n) for _ in range(self.hold if i in held else 1)]
