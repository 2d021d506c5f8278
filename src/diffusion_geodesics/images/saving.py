"""Images out: 8 bits a channel, PNG files, and how close one is to another."""

from __future__ import annotations

import math
import os

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image

from diffusion_geodesics.runtime.paths import expand


def to_uint8(
    image: Float[torch.Tensor, "channels height width"],
) -> UInt8[np.ndarray, "height width channels"]:
    """The image in 8 bits a channel."""
    values = image.detach().to("cpu", torch.float32).clamp(0.0, 1.0) * 255.0
    return values.round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def save_png(path: str | os.PathLike[str], image: Float[torch.Tensor, "3 height width"]) -> None:
    """Write an image as an 8-bit PNG."""
    Image.fromarray(to_uint8(image)).save(expand(path), format="PNG")


def psnr(
    a: Float[torch.Tensor, "*batch 3 height width"], b: Float[torch.Tensor, "*batch 3 height width"]
) -> Float[torch.Tensor, "*batch"]:
    r"""Peak signal-to-noise ratio :math:`-10 \log_{10} \overline{(a - b)^2}`, image by image."""
    if a.shape != b.shape:
        raise ValueError(
            f"got images of shapes {tuple(a.shape)} and {tuple(b.shape)}; expected equal ones"
        )
    error = (a.double() - b.to(a.device).double()).square().flatten(-3).mean(-1)
    return (-10.0 / math.log(10.0) * error.log()).to(a.dtype)
