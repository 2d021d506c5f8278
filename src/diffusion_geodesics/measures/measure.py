"""What is measured on a strip of frames, and which direction is better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, final

from jaxtyping import Float
from torch import Tensor

Images: TypeAlias = Float[Tensor, "images 3 height width"]
"""Images with values in [0, 1]."""


class Better(Enum):
    """Which values of a quantity are wished for."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"
    """It describes and does not rank."""

    def wins(self, value: float, rival: float) -> float:
        """1 where ``value`` beats ``rival``, ½ for a tie, 0 for a loss; ValueError if the quantity
        does not rank."""
        if self is Better.NEITHER:
            raise ValueError("this quantity does not rank; compare its values instead")
        if value == rival:
            return 0.5
        return float((value > rival) == (self is Better.HIGHER))


@final
@dataclass(frozen=True)
class Quantity:
    """A number that a measure gives.

    ``about`` says what it is, and ``deceives`` what it rewards that is not wished for."""

    name: str
    better: Better
    about: str
    deceives: str = ""


@final
@dataclass(frozen=True, eq=False)
class Strip:
    """Frames of one path between two images.

    Args:
        frames: (frames, 3, height, width), values in [0, 1], both ends included; at least 3.
        ends: both images that were to be joined, (2, 3, height, width).
        features: of the frames, (frames, coordinates): what "far" means between frames.

    Raises:
        ValueError: shapes that do not fit.
    """

    frames: Float[Tensor, "frames 3 height width"]
    ends: Float[Tensor, "2 3 end_height end_width"]
    features: Float[Tensor, "items coordinates"]

    def __post_init__(self) -> None:
        if len(self.frames) < 3:
            raise ValueError(
                f"got a strip of {len(self.frames)} frames; expected at least 3, ends included"
            )
        if self.frames.shape[1:] != self.ends.shape[1:]:
            raise ValueError(
                f"frames are {tuple(self.frames.shape[1:])} and ends {tuple(self.ends.shape[1:])}; "
                "expected one size"
            )
        if len(self.features) != len(self.frames):
            raise ValueError(
                f"got features of {len(self.features)} frames for {len(self.frames)} frames"
            )


class Measure(ABC):
    """Something measured on every strip."""

    @property
    @abstractmethod
    def quantities(self) -> tuple[Quantity, ...]:
        """What it gives."""

    @abstractmethod
    def __call__(self, strip: Strip) -> Mapping[str, float]:
        """The value of each quantity, by name; NaN where it is not defined for this strip."""
