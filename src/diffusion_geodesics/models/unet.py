"""The U-Nets of Stable Diffusion and SDXL as networks on flat latents."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, Condition, Features, Network
from diffusion_geodesics.models.activations import recorded_outputs
from diffusion_geodesics.models.locks import exclusive

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    from diffusion_geodesics.models.embedded_networks.unet import UNet

__all__ = ["UNetNetwork", "unet_batches"]


@final
@dataclass(frozen=True, eq=False)
class UNetNetwork(Network):
    r"""A `UNet2DConditionModel` on flat latents of one shape.

    Args:
        unet: called through ``__call__``, so that offloading hooks fire.
        latent_shape: (channels, height, width).
        device: where its inputs go.
        sigma_data: of EDM's preconditioning, where the time step is :math:`\sigma`: the network's
            inputs are :math:`x / \sqrt{\sigma^2 + \sigma_\text{data}^2}` and
            :math:`\frac14 \ln \sigma`. ``None`` for networks that take latents and time steps as
            they are.
        sizes: SDXL's six numbers (original height and width, crop top and left, target height and
            width); the condition then has a second part, the pooled text embedding.
    """

    unet: "UNet2DConditionModel | UNet"
    latent_shape: tuple[int, int, int]
    device: torch.device
    sigma_data: float | None = None
    sizes: tuple[int, int, int, int, int, int] | None = None

    @property
    def dim(self) -> int:
        """Coordinates of a flat latent."""
        return math.prod(self.latent_shape)

    @property
    def batches(self) -> ChunkedBatches:
        """Batches by a rough estimate of memory; see `unet_batches`."""
        return unet_batches(self.unet, self.latent_shape, self.device)

    def __call__(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows dim"]:
        """The raw output; inputs are cast to the network's precision."""
        dtype = self.unet.dtype
        embeddings, *pooled = (part.to(dtype).to(self.device) for part in condition.parts)
        if self.sigma_data is not None:
            x, timestep = x / math.hypot(timestep, self.sigma_data), math.log(timestep) / 4
        added: dict[str, Any] = {}
        if self.sizes is not None:
            sizes = torch.tensor([self.sizes], dtype=torch.float32, device=self.device)
            (text,) = pooled
            added = {"text_embeds": text, "time_ids": sizes.expand(len(x), 6)}
        with exclusive(self.unet):
            output = self.unet(
                x.to(dtype).to(self.device).unflatten(1, self.latent_shape),
                timestep,
                encoder_hidden_states=embeddings,
                added_cond_kwargs=added,
                return_dict=False,
            )[0]
        return output.flatten(1)

    def features(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Features:
        """What the first two up blocks give, fewer where there are fewer: DIFT's features."""
        blocks = list(self.unet.up_blocks)[:2]
        with exclusive(self.unet), recorded_outputs(blocks) as outputs:
            self(x, timestep, condition)
        return tuple(outputs)


def unet_batches(unet: Any, shape: tuple[int, int, int], device: torch.device) -> ChunkedBatches:
    """Batches by a rough estimate: some sixty activations at full resolution alive an evaluation.

    Args:
        unet: a U-Net with ``block_out_channels`` in its configuration.
        shape: (channels, height, width) of its input.
        device: where it runs.
    """
    _, height, width = shape
    size = torch.finfo(unet.dtype).bits // 8
    row = unet.config["block_out_channels"][0] * height * width * size
    return ChunkedBatches(64 * row, device)
