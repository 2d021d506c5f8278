"""From tensors to Pillow images, with or without an alpha channel."""

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from diffusion_geodesics.images.saving import to_uint8

Colour = tuple[float, float, float]  # red, green and blue in [0, 1], in sRGB
WHITE: Colour = (1.0, 1.0, 1.0)
Frames = Float[Tensor, "frames channels height width"]
Larger = Float[Tensor, "frames channels larger_height larger_width"]


def check_colours(images: Float[Tensor, "*batch channels height width"], name: str) -> None:
    """Refuse what is no image in [0, 1], rounding apart, naming the likely cause."""
    if images.shape[-3] not in (3, 4) or images.numel() == 0:
        raise ValueError(
            f"{name}: got images of shape {tuple(images.shape)}; expected (..., 3 or 4, height, "
            "width): red, green, blue, and alpha where there is one"
        )
    low, high = images.min().item(), images.max().item()
    if not (low >= -1e-3 and high <= 1 + 1e-3):  # so written that NaN is refused as well
        raise ValueError(
            f"{name}: colours must lie in [0, 1], got {low:.3g} to {high:.3g}; "
            "bring [-1, 1] there by (x + 1) / 2, and replace values that are not finite"
        )


def to_image(pixels: Float[Tensor, "channels height width"]) -> Image.Image:
    """8-bit RGB or RGBA image of a tensor in [0, 1], rounded to the nearest level."""
    return Image.fromarray(to_uint8(pixels))


def to_pixels(image: Image.Image) -> Float[Tensor, "channels height width"]:
    """The inverse of `to_image`."""
    return torch.from_numpy(np.array(image, dtype=np.uint8)).permute(2, 0, 1).float() / 255


def on_background(image: Image.Image, colour: Colour = WHITE) -> Image.Image:
    """An RGB image: one with an alpha channel is laid on a colour, in sRGB."""
    if image.mode == "RGB":
        return image
    ground = Image.new("RGBA", image.size, (*(round(255 * c) for c in colour), 255))
    return Image.alpha_composite(ground, image).convert("RGB")


def with_alpha(
    images: Float[Tensor, "images 3 height width"],
    alpha: Float[Tensor, "images 1 height width"],
    colour: Colour = WHITE,
) -> Float[Tensor, "images 4 height width"]:
    """RGBA images that look, on a colour, like images that were made on it."""
    behind = images.new_tensor(colour)[:, None, None] * (1 - alpha)
    own = ((images - behind) / alpha.clamp_min(1e-6)).clamp(0, 1)
    return torch.cat([torch.where(alpha > 0, own, images), alpha], 1)


def fit_height(image: Image.Image, height: int) -> Image.Image:
    """The image at a height in pixels, aspect kept, by Lanczos resampling."""
    if image.height == height:
        return image
    width = max(1, round(image.width * height / image.height))
    return image.resize((width, height), Image.Resampling.LANCZOS)


def drop_opaque_alpha(frames: Frames) -> Float[Tensor, "frames kept height width"]:
    """The frames without their alpha channel if it is 1 everywhere."""
    opaque = frames.shape[1] == 4 and bool((frames[:, 3] >= 1 - 1e-3).all())
    return frames[:, :3] if opaque else frames
