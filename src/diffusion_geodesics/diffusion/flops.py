"""Floating-point operations of a network and of a codec, counted on one row or image.

Attention is counted as its matrix products, whichever kernel computes it elsewhere.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from diffusion_geodesics.diffusion.codec import Codec
from diffusion_geodesics.diffusion.condition import Condition
from diffusion_geodesics.diffusion.cost import Cost
from diffusion_geodesics.diffusion.denoiser import Denoiser

__all__ = ["Tally", "codec_flops", "count_flops", "network_bytes", "row_flops"]


def count_flops(function: Callable[[], object]) -> int:
    """Operations of the matrix products and convolutions that `function` calls, running it."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        function()
    return counter.get_total_flops()


def row_flops(denoiser: Denoiser, condition: Condition) -> int:
    """Operations of one row through the network, which is really evaluated once.

    `condition`: any condition of its kind; attention to a prompt is part of a row. Costs one row.
    """
    timestep = denoiser.schedule.timesteps(2)[-1]
    x = torch.zeros(1, denoiser.network.dim)
    return count_flops(lambda: denoiser.output(x, timestep, condition.take(slice(0, 1))))


@final
@dataclass(frozen=True)
class Tally:
    """Turns counts into operations.

    - `row`: operations of one row; `frame`: of decoding one image.
    """

    row: int
    frame: int

    def rows(self, cost: Cost) -> Cost:
        """The cost with the operations of its rows."""
        return replace(cost, tflop=cost.rows * self.row / 1e12)

    def frames(self, cost: Cost, count: int) -> Cost:
        """The same, and those of decoding `count` images."""
        return replace(cost, tflop=(cost.rows * self.row + count * self.frame) / 1e12)

    def trained(self, cost: Cost, trained: int) -> Cost:
        """The same for rows of which some were training: one row forward, two backward."""
        return replace(cost, tflop=(cost.rows + 2 * trained) * self.row / 1e12)


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
        for module in _roots(part)
        for t in (*module.parameters(), *module.buffers())
    }
    return sum(tensors.values())


def _roots(part: Any) -> list[nn.Module]:
    return [value for value in vars(part).values() if isinstance(value, nn.Module)]
