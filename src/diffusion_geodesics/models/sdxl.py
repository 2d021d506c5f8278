"""SDXL (Podell et al., arXiv 2307.01952), Playground 2.5 and every pipeline of the same make.

Besides the hidden states of two text encoders the U-Net takes a pooled embedding and six
numbers: the size of the original image, the corner of its crop and the size aimed at.
"""

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

__all__ = ["SDXL", "StableDiffusionXLModel"]


@final
@dataclass(frozen=True, eq=False)
class StableDiffusionXLModel(PipelineModel):
    """An SDXL pipeline, taken apart. Its scheduler may be one of betas, of a flow, or of EDM.

    - `original_size`, `target_size`: (height, width) that the network is told; the images' own
      by default.
    - `crop`: (top, left) that it is told.
    """

    original_size: tuple[int, int] | None = None
    crop: tuple[int, int] = (0, 0)
    target_size: tuple[int, int] | None = None

    @property
    def family(self) -> ModelFamily:
        """SDXL."""
        return SDXL

    @property
    def native_size(self) -> int:
        """The edge, in pixels, of the square images that the model was trained on."""
        return unet_native_size(self.pipeline)

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times U-Net downsampling."""
        return unet_multiple(self.pipeline)

    def codec(self, height: int, width: int) -> VAECodec:
        """The codec for images of a size; a half-precision autoencoder that its configuration
        calls too narrow (`force_upcast`) runs in float32."""
        demand_size(height, width, self.size_multiple, self.id)
        vae = self.pipeline.vae
        upcast = vae.dtype == torch.float16 and bool(vae.config.get("force_upcast"))
        return VAECodec(vae, height, width, self.device, upcast)

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size."""
        demand_size(height, width, self.size_multiple, self.id)
        size = (height, width)
        sizes = (*(self.original_size or size), *self.crop, *(self.target_size or size))
        return unet_denoiser(self.pipeline, unet_latent_shape(self.pipeline, height, width), sizes)

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row of two parts: hidden states and pooled embedding.

        `""` is the null condition: zeros where the pipeline's configuration has
        `force_zeros_for_empty_prompt`, as its own guidance takes them.
        """
        with torch.inference_mode():
            embeddings, _, pooled, _ = self.pipeline.encode_prompt(
                text, device=self.device, do_classifier_free_guidance=False
            )
        if not text and self.pipeline.config.get("force_zeros_for_empty_prompt"):
            embeddings, pooled = torch.zeros_like(embeddings), torch.zeros_like(pooled)
        return as_condition(embeddings, pooled)


SDXL = ModelFamily(
    name="SDXL",
    pipelines=("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"),
    model=StableDiffusionXLModel,
    parts=(
        "unet",
        "vae",
        "text_encoder",
        "text_encoder_2",
        "tokenizer",
        "tokenizer_2",
        "scheduler",
    ),
    prediction="noise, v, sample, flow or EDM: the scheduler's configuration",
    prompt="text",
    demand=demand_plain_unet,
)
