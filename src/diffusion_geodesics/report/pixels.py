"""From tensors to pixels: 8-bit conversion, good-looking resizing, bytes of a PNG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image


def to_image(image: Float[Tensor, "3 height width"]) -> Image:
    """8-bit RGB image of a tensor in [0, 1], rounded to the nearest level."""
    from PIL import Image

    levels = (image.detach().cpu().float().clamp(0, 1) * 255).round().byte()
    return Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


def to_images(frames: Float[Tensor, "frames 3 height width"]) -> list[Image]:
    """8-bit RGB images of tensors in [0, 1]."""
    return [to_image(frame) for frame in frames]


def fit_height(image: Image, height: int) -> Image:
    """The image at a height in pixels, aspect kept, by Lanczos resampling."""
    from PIL import Image

    if image.height == height:
        return image
    width = max(1, round(image.width * height / image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS)
