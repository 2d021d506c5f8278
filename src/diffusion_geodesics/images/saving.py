"""Images out: 8 bits a channel, and PNG files."""

from __future__ import annotations

import os

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from diffusion_geodesics.runtime.paths import expand

__all__ = ["save_png", "to_uint8"]


def to_uint8(
    image: Float[torch.Tensor, "channels height width"],
) -> UInt8[np.ndarray, "height width channels"]:
    """The image in 8 bits a channel."""
    values = image.detach().to("cpu", torch.float32).clamp(0.0, 1.0) * 255.0
    return values.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def save_png(path: str | os.PathLike[str], image: Float[torch.Tensor, "3 height width"]) -> None:
    """Write an image as an 8-bit PNG."""
    Image.fromarray(to_uint8(image)).save(expand(path), format="PNG")
