"""How close an image is to another."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

__all__ = ["psnr"]


def psnr(
    a: Float[Tensor, "*batch 3 height width"], b: Float[Tensor, "*batch 3 height width"]
) -> Float[Tensor, "*batch"]:
    r"""Peak signal-to-noise ratio :math:`-10 \log_{10} \overline{(a - b)^2}`, image by image."""
    if a.shape != b.shape:
        raise ValueError(
            f"got images of shapes {tuple(a.shape)} and {tuple(b.shape)}; expected equal ones"
        )
    error = (a.double() - b.to(a.device).double()).square().flatten(-3).mean(-1)
    return (-10.0 / math.log(10.0) * error.log()).to(a.dtype)
