"""The U-Nets of Stable Diffusion and SDXL as networks on flat latents."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import (
    ChunkedBatches,
    Condition,
    Denoiser,
    EDMPrediction,
    Features,
    Network,
)
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.schedulers import read_prediction, read_schedule
from diffusion_geodesics.models.taps import tapped
from diffusion_geodesics.models.vae import vae_factor

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

__all__ = [
    "UNetNetwork",
    "demand_plain_unet",
    "unet_denoiser",
    "unet_latent_shape",
    "unet_multiple",
    "unet_native_size",
]


@final
@dataclass(frozen=True, eq=False)
class UNetNetwork(Network):
    r"""A `UNet2DConditionModel` on flat latents of one shape.

    - `unet`: called through `__call__`, so that offloading hooks fire.
    - `latent_shape`: (channels, height, width).
    - `device`: where its inputs go.
    - `sigma_data`: of EDM's preconditioning, where the time step is $\sigma$: the network is shown
      $x / \sqrt{\sigma^2 + \sigma_{data}^2}$ and told $\frac14 \ln \sigma$. `None` for networks
      that take latents and time steps as they are.
    - `sizes`: SDXL's six numbers (original height and width, crop top and left, target height and
      width); the condition then has a second part, the pooled text embedding.
    """

    unet: "UNet2DConditionModel"
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
        """Pieces by a rough count: some sixty full-resolution activations alive a row."""
        _, height, width = self.latent_shape
        size = torch.finfo(self.unet.dtype).bits // 8
        width_bytes = self.unet.config["block_out_channels"][0] * height * width * size
        return ChunkedBatches(64 * width_bytes, self.device)

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
        with tapped(self.unet.up_blocks[:2]) as outputs:
            self(x, timestep, condition)
        return tuple(outputs)


def unet_denoiser(
    pipe: Any,
    latent_shape: tuple[int, int, int],
    sizes: tuple[int, int, int, int, int, int] | None = None,
) -> Denoiser:
    """A pipeline's U-Net with the schedule and prediction of its scheduler's configuration."""
    prediction = read_prediction(pipe.scheduler)
    sigma_data = prediction.sigma_data if isinstance(prediction, EDMPrediction) else None
    device = torch.device(pipe._execution_device)
    network = UNetNetwork(pipe.unet, latent_shape, device, sigma_data, sizes)
    return Denoiser(network, read_schedule(pipe.scheduler), prediction)


def unet_native_size(pipe: Any) -> int:
    """The edge in pixels of the images that a pipeline's U-Net was trained on."""
    size = pipe.unet.config["sample_size"]
    edge = size if isinstance(size, int) else max(size)
    return edge * vae_factor(pipe.vae)


def unet_multiple(pipe: Any) -> int:
    """What heights and widths must be multiples of: autoencoder times U-Net downsampling."""
    halvings = len(pipe.unet.config["block_out_channels"]) - 1
    return vae_factor(pipe.vae) * 2**halvings


def unet_latent_shape(pipe: Any, height: int, width: int) -> tuple[int, int, int]:
    """(channels, height, width) of the latents of images of a size."""
    factor = vae_factor(pipe.vae)
    return (pipe.vae.config["latent_channels"], height // factor, width // factor)


def demand_plain_unet(pipe: Any) -> None:
    """That a U-Net takes latents, a time and a text, no more; `ModelError` otherwise."""
    channels = pipe.unet.config["in_channels"]
    if channels != pipe.vae.config["latent_channels"]:
        raise ModelError(
            f"got a U-Net of {channels} input channels for latents of "
            f"{pipe.vae.config['latent_channels']}: an inpainting or depth model; load a "
            "text-to-image one"
        )
    if pipe.unet.config["time_cond_proj_dim"] is not None:
        raise ModelError(
            "got a consistency-distilled U-Net (it takes guidance as an input), which has no "
            "score; load the model it was distilled from"
        )
    if pipe.unet.config["encoder_hid_dim_type"] is not None:
        raise ModelError(
            "got a U-Net that wants images besides the prompt (an IP adapter); call "
            "pipe.unload_ip_adapter() first"
        )
