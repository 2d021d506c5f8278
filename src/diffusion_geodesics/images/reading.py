"""The one place where pictures enter: files, Pillow images, arrays and tensors."""

import os
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from diffusion_geodesics.images._arrays import read_array, read_tensor
from diffusion_geodesics.images._decoding import read_pillow
from diffusion_geodesics.images.files import read_file
from diffusion_geodesics.images.picture import ImageError, Picture

ImageSource: TypeAlias = str | os.PathLike[str] | Image.Image | np.ndarray | Tensor
"""What a picture can be given as."""


def read_image(source: object) -> Picture:
    """A still picture of any kind, checked.

    The camera's orientation (EXIF) is applied, colours are brought from the embedded profile to
    sRGB, and grey, palette, CMYK and 16-bit pictures are converted. More than 4096 pixels along
    an edge are scaled down. What could not be followed (a damaged EXIF or profile) is in `notes`.

    Arrays have their channels last, tensors first: none, 1, 3 or 4, the fourth being opacity.
    Integers of 8 and 16 bits mean fractions of 255 and 65535, floats are in [0, 1]; no others.
    """
    if isinstance(source, str | os.PathLike):
        return read_file(source)
    if isinstance(source, Image.Image):
        return read_pillow(source)
    if isinstance(source, np.ndarray):
        return read_array(source)
    if isinstance(source, Tensor):
        return read_tensor(source)
    raise ImageError(
        f"got {type(source).__name__} for an image; expected a path, a Pillow image, a numpy array "
        "of shape (height, width, 3) or a torch tensor of shape (3, height, width)"
    )


def load_image(
    source: object, background: float | tuple[float, float, float] = 1.0
) -> Float[Tensor, "3 height width"]:
    """A still picture as a tensor, transparency laid on a background."""
    return read_image(source).on(background)
