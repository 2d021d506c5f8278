"""Images in and out: pictures of every kind as tensors with values in [0, 1], and back.

An image here is a float32 tensor of shape (3, height, width): red, green and blue in sRGB.
:func:`read_image` is the one place where pictures enter; it checks them and says in one sentence
what is wrong.
"""

from diffusion_geodesics.images.limits import LARGEST_EDGE, SMALLEST_EDGE
from diffusion_geodesics.images.picture import ImageError, Picture
from diffusion_geodesics.images.reading import ImageSource, load_image, read_image
from diffusion_geodesics.images.saving import psnr, save_png, to_uint8

__all__ = [
    "LARGEST_EDGE",
    "SMALLEST_EDGE",
    "ImageError",
    "ImageSource",
    "Picture",
    "load_image",
    "psnr",
    "read_image",
    "save_png",
    "to_uint8",
]
