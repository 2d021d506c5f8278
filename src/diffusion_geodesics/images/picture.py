"""A picture as it was read: colours, transparency, and where it came from."""

from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor


class ImageError(ValueError):
    """An image that cannot be used; the message says why and what to do."""


@final
@dataclass(frozen=True, eq=False)
class Picture:
    """A still picture on the CPU."""

    pixels: Float[Tensor, "3 height width"]  # sRGB, float32 in [0, 1], not multiplied by alpha
    alpha: Float[Tensor, "height width"] | None = None  # opacity; None where all is opaque
    name: str = "image"  # in records: the path of a file, else the kind of object
    notes: tuple[str, ...] = ()  # what must be known of how it was read, in words

    def on(
        self, background: float | tuple[float, float, float] = 1.0
    ) -> Float[Tensor, "3 height width"]:
        r"""The colours laid on a background, :math:`\alpha c + (1 - \alpha) b` in sRGB values."""
        colour = (background,) * 3 if isinstance(background, int | float) else tuple(background)
        if len(colour) != 3 or not all(0.0 <= value <= 1.0 for value in colour):
            expected = "expected one grey value, or red, green and blue, each in [0, 1]"
            raise ValueError(f"got background {background}; {expected}")
        if self.alpha is None:
            return self.pixels
        behind = torch.tensor(colour, dtype=self.pixels.dtype).reshape(3, 1, 1)
        return self.pixels * self.alpha + behind * (1.0 - self.alpha)
