"""Framing: bringing images of any shape to the one size that a model works at."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from diffusion_geodesics.images import LARGEST_EDGE

__all__ = ["LARGEST_WORKING_EDGE", "CentreCrop", "Fit", "Framed", "Pad", "choose_size", "fit"]

LARGEST_WORKING_EDGE = LARGEST_EDGE
"""Pixels along an edge at which to work at most: images are read at no more, so that anything
above would only enlarge them, and the cost of attention grows with the edge's fourth power."""


AnyImage = Float[Tensor, "channels old_height old_width"]
"""An image of any size, values in [0, 1]."""


@final
@dataclass(frozen=True, eq=False)
class Framed:
    """An image brought to a size; ``note`` says in words what was done."""

    image: Float[Tensor, "channels height width"]
    note: str


class Fit(ABC):
    """How an image of another shape is brought to a size, its aspect ratio kept.

    Channels are treated alike, so that an opacity (1, height, width) is framed as its image is.
    """

    @abstractmethod
    def __call__(self, image: AnyImage, height: int, width: int) -> Framed:
        """The image at height x width."""


@final
@dataclass(frozen=True)
class CentreCrop(Fit):
    """The largest centred part of the right shape, resized."""

    def __call__(self, image: AnyImage, height: int, width: int) -> Framed:
        _, old_height, old_width = image.shape
        scale = min(old_height / height, old_width / width)
        kept = min(old_height, round(height * scale)), min(old_width, round(width * scale))
        top, left = (old_height - kept[0]) // 2, (old_width - kept[1]) // 2
        part = image[:, top : top + kept[0], left : left + kept[1]]
        edges = zip(("height", "width"), kept, (old_height, old_width), strict=True)
        cut = [f"{_percent(1 - new / old)} of the {edge}" for edge, new, old in edges if new < old]
        action = f"cut {' and '.join(cut)} at the edges" if cut else ""
        return Framed(_resized(part, height, width), _note(image, height, width, action))


@final
@dataclass(frozen=True)
class Pad(Fit):
    """The whole image, with bars where shapes differ, of a gray ``value`` in [0, 1]; `ValueError`
    for another."""

    value: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.value <= 1.0:
            raise ValueError(f"got padding of value {self.value}; expected a gray in [0, 1]")

    def __call__(self, image: AnyImage, height: int, width: int) -> Framed:
        _, old_height, old_width = image.shape
        scale = min(height / old_height, width / old_width)
        inner = max(1, round(old_height * scale)), max(1, round(old_width * scale))
        inner = min(height, inner[0]), min(width, inner[1])
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        canvas = image.new_full((image.shape[0], height, width), self.value)
        canvas[:, top : top + inner[0], left : left + inner[1]] = _resized(image, *inner)
        bars = {"top and bottom": inner[0] < height, "left and right": inner[1] < width}
        added = [place for place, there in bars.items() if there]
        action = f"padded at {' and '.join(added)}" if added else ""
        return Framed(canvas, _note(image, height, width, action))


def fit(image: AnyImage, height: int, width: int, how: Fit | None = None) -> Framed:
    """The image, values in [0, 1], at a size, its aspect ratio kept; cropped to the centre by
    default. `ValueError` for an edge below one pixel."""
    if height < 1 or width < 1:
        raise ValueError(f"got a size of {height}x{width}; expected positive edges")
    return (how or CentreCrop())(image, height, width)


def choose_size(
    sizes: Sequence[tuple[int, int]],
    *,
    native: int,
    multiple: int,
    requested: int | tuple[int, int] | None = None,
) -> tuple[int, int]:
    """The (height, width) at which to work on images, rounded to the nearest multiples.

    Args:
        sizes: (height, width) of each image.
        native: edge of the squares that the model was trained on.
        multiple: what height and width must be multiples of.
        requested: None for the area of a native square in the images' own aspect ratio (the
            geometric mean of theirs, at most 2:1); one number for the area of that square
            instead; or height and width themselves.

    Raises:
        ValueError: no images; a requested pair that is not made of multiples, naming the nearest
            one that is; an edge below one multiple or above 4096 pixels.
    """
    if not sizes or any(height < 1 or width < 1 for height, width in sizes):
        raise ValueError(f"got image sizes {list(sizes)}; expected at least one, all positive")
    if isinstance(requested, tuple):
        return _checked_pair(requested, multiple)
    edge = native if requested is None else requested
    if edge > LARGEST_WORKING_EDGE:
        raise ValueError(_too_large(str(edge)))
    if edge < multiple:
        raise ValueError(f"got size {edge}; this model takes at least {multiple} pixels")
    logs = [math.log(height / width) for height, width in sizes]
    ratio = math.exp(min(math.log(2), max(-math.log(2), sum(logs) / len(logs))))
    chosen = (
        _to_multiple(edge * math.sqrt(ratio), multiple),
        _to_multiple(edge / math.sqrt(ratio), multiple),
    )
    if max(chosen) > LARGEST_WORKING_EDGE:
        raise ValueError(_too_large(f"{edge}, which is {chosen[0]}x{chosen[1]} for these images"))
    return chosen


def _checked_pair(requested: tuple[int, int], multiple: int) -> tuple[int, int]:
    height, width = requested
    if max(requested) > LARGEST_WORKING_EDGE:
        raise ValueError(_too_large(f"{height}x{width}"))
    nearest = _to_multiple(height, multiple), _to_multiple(width, multiple)
    if nearest != requested:
        raise ValueError(
            f"got size {height}x{width}; this model takes multiples of {multiple}: the nearest is "
            f"{nearest[0]}x{nearest[1]}"
        )
    return requested


def _too_large(size: str) -> str:
    return (
        f"got size {size}; expected at most {LARGEST_WORKING_EDGE} pixels along an edge, to which "
        "images are scaled down when they are read"
    )


def _to_multiple(edge: float | int, multiple: int) -> int:
    return max(1, round(edge / multiple)) * multiple


def _resized(image: Tensor, height: int, width: int) -> Tensor:
    if image.shape[1:] == (height, width):
        return image.clone()
    batch = interpolate(
        image[None], size=(height, width), mode="bicubic", antialias=True, align_corners=False
    )
    return batch[0].clamp(0.0, 1.0)


def _note(image: Tensor, height: int, width: int, action: str) -> str:
    _, old_height, old_width = image.shape
    if (old_height, old_width) == (height, width):
        return "kept as it is"
    resized = f"resized from {old_width}x{old_height} to {width}x{height}"
    return f"{action}, {resized}" if action else resized


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if share >= 0.01 else "under 1%"
