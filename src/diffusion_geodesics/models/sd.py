"""Stable Diffusion 1.x and 2.x, and every pipeline folder of the same make."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import (
    ChunkedBatches,
    Condition,
    Denoiser,
    Network,
    NoiseSchedule,
    Prediction,
)
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.pipeline_model import PipelineModel, as_condition, demand_size
from diffusion_geodesics.models.schedulers import read_prediction, read_schedule
from diffusion_geodesics.models.vae import VAECodec, vae_factor

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

__all__ = ["STABLE_DIFFUSION", "StableDiffusionModel", "UNetNetwork"]


@final
@dataclass(frozen=True, eq=False)
class UNetNetwork(Network):
    """A `UNet2DConditionModel` on flat latents of one shape.

    - `unet`: called through `__call__`, so that offloading hooks fire.
    - `latent_shape`: (channels, height, width).
    - `device`: where its inputs go.
    """

    unet: "UNet2DConditionModel"
    latent_shape: tuple[int, int, int]
    device: torch.device

    @property
    def dim(self) -> int:
        """Coordinates of a flat latent."""
        channels, height, width = self.latent_shape
        return channels * height * width

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
        (embeddings,) = condition.parts
        dtype = self.unet.dtype
        output = self.unet(
            x.to(dtype).to(self.device).unflatten(1, self.latent_shape),
            timestep,
            encoder_hidden_states=embeddings.to(dtype).to(self.device),
            return_dict=False,
        )[0]
        return output.flatten(1)


@final
@dataclass(frozen=True, eq=False)
class StableDiffusionModel(PipelineModel):
    """A Stable Diffusion pipeline, taken apart: codec, denoiser, schedule, prompts.

    Get one from `load_model`, or from a pipeline that is loaded already with `from_pipeline`.
    """

    @property
    def family(self) -> ModelFamily:
        """Stable Diffusion."""
        return STABLE_DIFFUSION

    @cached_property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule, from the scheduler's configuration."""
        return read_schedule(self.pipeline.scheduler)

    @cached_property
    def prediction(self) -> Prediction:
        """What the network predicts, from the scheduler's configuration."""
        return read_prediction(self.pipeline.scheduler)

    @property
    def native_size(self) -> int:
        """The edge, in pixels, of the square images that the model was trained on."""
        size = self.pipeline.unet.config["sample_size"]
        edge = size if isinstance(size, int) else max(size)
        return edge * vae_factor(self.pipeline.vae)

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times U-Net downsampling."""
        halvings = len(self.pipeline.unet.config["block_out_channels"]) - 1
        return vae_factor(self.pipeline.vae) * 2**halvings

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of images of a size.

        Raises `ValueError` where the size is no multiple of `size_multiple`.
        """
        demand_size(height, width, self.size_multiple, self.id)
        factor = vae_factor(self.pipeline.vae)
        return (self.pipeline.vae.config["latent_channels"], height // factor, width // factor)

    def codec(self, height: int, width: int) -> VAECodec:
        """The codec for images of a size."""
        self.latent_shape(height, width)
        return VAECodec(self.pipeline.vae, height, width, self.device)

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size."""
        network = UNetNetwork(self.pipeline.unet, self.latent_shape(height, width), self.device)
        return Denoiser(network, self.schedule, self.prediction)

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; `""` is the null condition.

        Text beyond the text encoder's length is cut off, with a warning in the log. In float32
        (float64 for a float64 model), so that embeddings interpolate without rounding.
        """
        with torch.inference_mode():
            embeddings, _ = self.pipeline.encode_prompt(text, self.device, 1, False)
        return as_condition(embeddings)


def _demand_usable(pipe: Any) -> None:
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


STABLE_DIFFUSION = ModelFamily(
    name="Stable Diffusion 1.x, 2.x",
    pipelines=("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"),
    model=StableDiffusionModel,
    parts=("unet", "vae", "text_encoder", "tokenizer", "scheduler"),
    prediction="noise or v",
    prompt="text",
    demand=_demand_usable,
)
