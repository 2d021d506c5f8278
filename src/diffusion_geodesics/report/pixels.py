"""From tensors to Pillow images, and good-looking resizing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.images import to_uint8

if TYPE_CHECKING:
    from PIL.Image import Image


def to_image(image: Float[Tensor, "3 height width"]) -> Image:
    """8-bit RGB image of a tensor in [0, 1], rounded to the nearest level."""
    from PIL import Image

    return Image.fromarray(to_uint8(image))


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
