"""Floating-point operations of a network and of a codec, counted on one row or image.

Attention is counted as its matrix products, whichever kernel computes it elsewhere.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from diffusion_geodesics.diffusion.codec import Codec
from diffusion_geodesics.diffusion.condition import Condition
from diffusion_geodesics.diffusion.denoiser import Denoiser


def count_flops(function: Callable[[], object]) -> int:
    """Operations of the matrix products and convolutions that `function` calls, running it."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        function()
    return counter.get_total_flops()


def evaluation_flops(denoiser: Denoiser, condition: Condition) -> int:
    """Operations of one evaluation of the network, which is really evaluated once, under any
    condition of its kind: attention to a prompt is part of an evaluation."""
    timestep = denoiser.schedule.timesteps(2)[-1]
    x = torch.zeros(1, denoiser.network.dim)
    return count_flops(lambda: denoiser.output(x, timestep, condition.take(slice(0, 1))))


def codec_flops(codec: Codec) -> tuple[int, int]:
    """Operations of encoding and of decoding one image, which is really done once."""
    image = torch.full((1, *codec.image_shape), 0.5)
    latents: list[Tensor] = []
    encoding = count_flops(lambda: latents.append(codec.encode(image)))
    return encoding, count_flops(lambda: codec.decode(latents[0]))


def network_bytes(*parts: Any) -> int:
    """Memory of the weights in the networks that these objects hold."""
    tensors = {
        id(t): t.numel() * t.element_size()
        for part in parts
        for module in vars(part).values()
        if isinstance(module, nn.Module)
        for t in (*module.parameters(), *module.buffers())
    }
    return sum(tensors.values())
