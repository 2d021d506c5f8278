"""Images reduced to the size at which every job measures metamorphoses."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from diffusion_geodesics.diffusion import Images
from diffusion_geodesics.latents.settings import METAMORPHOSIS_EDGE


def reduced(images: Images, edge: int = METAMORPHOSIS_EDGE) -> Float[Tensor, "images colours _ _"]:
    """Images in float32 whose longest edge is at most so many pixels; each pixel is the mean of
    those that it covers."""
    shape = images.shape[2:]
    share = min(1.0, edge / max(shape))
    size = [max(1, round(length * share)) for length in shape]
    return interpolate(images.float(), size, mode="area") if share < 1 else images.float()
