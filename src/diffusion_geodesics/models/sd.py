"""Stable Diffusion 1.x and 2.x, and every pipeline folder of the same make."""

from dataclasses import dataclass
from typing import final

import torch

from diffusion_geodesics.diffusion import Condition, Denoiser
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.pipeline_model import PipelineModel, as_condition, demand_size
from diffusion_geodesics.models.unet import (
    demand_plain_unet,
    unet_denoiser,
    unet_latent_shape,
    unet_multiple,
    unet_native_size,
)
from diffusion_geodesics.models.vae import VAECodec

__all__ = ["STABLE_DIFFUSION", "StableDiffusionModel"]


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

    @property
    def native_size(self) -> int:
        """The edge, in pixels, of the square images that the model was trained on."""
        return unet_native_size(self.pipeline)

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times U-Net downsampling."""
        return unet_multiple(self.pipeline)

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(channels, height, width) of the latents of images of a size.

        Raises `ValueError` where the size is no multiple of `size_multiple`.
        """
        demand_size(height, width, self.size_multiple, self.id)
        return unet_latent_shape(self.pipeline, height, width)

    def codec(self, height: int, width: int) -> VAECodec:
        """The codec for images of a size."""
        self.latent_shape(height, width)
        return VAECodec(self.pipeline.vae, height, width, self.device)

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size."""
        return unet_denoiser(self.pipeline, self.latent_shape(height, width))

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; `""` is the null condition.

        Text beyond the text encoder's length is cut off, with a warning in the log. In float32
        (float64 for a float64 model), so that embeddings interpolate without rounding.
        """
        with torch.inference_mode():
            embeddings, _ = self.pipeline.encode_prompt(text, self.device, 1, False)
        return as_condition(embeddings)


STABLE_DIFFUSION = ModelFamily(
    name="Stable Diffusion 1.x, 2.x",
    pipelines=("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"),
    model=StableDiffusionModel,
    parts=("unet", "vae", "text_encoder", "tokenizer", "scheduler"),
    prediction="noise, v, sample, flow or EDM: the scheduler's configuration",
    prompt="text",
    demand=demand_plain_unet,
)
