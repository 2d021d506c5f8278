"""Stable Diffusion 1.x and 2.x, SDXL, Playground 2.5, and every pipeline of the same make."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch

from diffusion_geodesics.diffusion import Condition, Denoiser, EDMPrediction
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import SDXL, STABLE_DIFFUSION, ModelFamily
from diffusion_geodesics.models.pipeline_model import LatentModel, as_condition
from diffusion_geodesics.models.pipeline_network import UNetNetwork
from diffusion_geodesics.models.schedulers import read_scheduler
from diffusion_geodesics.models.text import reading


@dataclass(frozen=True, eq=False)
class UNetModel(LatentModel):
    """A pipeline with a `UNet2DConditionModel`. Its scheduler may be one of betas, flow or EDM."""

    @property
    @final
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times U-Net downsampling."""
        return self._factor * 2 ** (len(self._network.config["block_out_channels"]) - 1)

    @final
    def denoiser(self, height: int, width: int) -> Denoiser:
        schedule, prediction = read_scheduler(self.pipeline.scheduler)
        sigma_data = prediction.sigma_data if isinstance(prediction, EDMPrediction) else None
        shape, sizes = self.latent_shape(height, width), self._sizes(height, width)
        network = UNetNetwork(self._network, shape, self.device, sigma_data, sizes)
        return Denoiser(network, schedule, prediction)

    def _sizes(self, height: int, width: int) -> tuple[int, int, int, int, int, int] | None:
        """SDXL's six numbers, where the U-Net takes them."""
        return None

    @final
    def _check_usable(self) -> None:
        """Check that the U-Net takes latents, a time and a text, no more."""
        config: Any = self.pipeline.unet.config
        latent = self.pipeline.vae.config["latent_channels"]
        if config["in_channels"] != latent:
            raise ModelError(
                f"got a U-Net of {config['in_channels']} input channels for latents of {latent}: "
                "an inpainting or depth model; load a text-to-image one"
            )
        if config["time_cond_proj_dim"] is not None:
            raise ModelError(
                "got a consistency-distilled U-Net (it takes guidance as an input), which has no "
                "score; load the model it was distilled from"
            )
        if config["encoder_hid_dim_type"] is not None:
            raise ModelError(
                "got a U-Net that wants images besides the prompt (an IP adapter); call "
                "pipe.unload_ip_adapter() first"
            )


@final
@dataclass(frozen=True, eq=False)
class StableDiffusionModel(UNetModel):
    """A Stable Diffusion pipeline, taken apart; the pipeline is only read.

    A condition has one part, the text encoder's hidden states (rows, tokens, width).
    """

    family: ClassVar[ModelFamily] = STABLE_DIFFUSION

    def encode_prompt(self, text: str) -> Condition:
        with reading(self.pipeline, self.family.readers, text):
            embeddings, _ = self.pipeline.encode_prompt(text, self.device, 1, False)
        return as_condition(embeddings)


@final
@dataclass(frozen=True, eq=False)
class StableDiffusionXLModel(UNetModel):
    """An SDXL pipeline, taken apart; the pipeline is only read.

    A condition has two parts: the hidden states of two text encoders and a pooled embedding. The
    U-Net also takes six numbers: the size of the original image, the corner of its crop and the
    size aimed at (Podell et al., arXiv 2307.01952). The autoencoder runs in float32 where its
    configuration has ``force_upcast`` and it is kept in float16.

    Args:
        original_size, target_size: (height, width) in pixels that the network is given; the
            images' own by default.
        crop: (top, left) in pixels that it is given.
    """

    original_size: tuple[int, int] | None = None
    crop: tuple[int, int] = (0, 0)
    target_size: tuple[int, int] | None = None

    family: ClassVar[ModelFamily] = SDXL

    def encode_prompt(self, text: str) -> Condition:
        """As for every model; ``""`` gives zeros where the pipeline's configuration has
        ``force_zeros_for_empty_prompt``, as its own guidance takes them."""
        with reading(self.pipeline, self.family.readers, text):
            embeddings, _, pooled, _ = self.pipeline.encode_prompt(
                text, device=self.device, do_classifier_free_guidance=False
            )
        if not text and self.pipeline.config.get("force_zeros_for_empty_prompt"):
            embeddings, pooled = torch.zeros_like(embeddings), torch.zeros_like(pooled)
        return as_condition(embeddings, pooled)

    @property
    def _upcasts(self) -> bool:
        vae = self.pipeline.vae
        return vae.dtype == torch.float16 and bool(vae.config.get("force_upcast"))

    def _sizes(self, height: int, width: int) -> tuple[int, int, int, int, int, int] | None:
        size = (height, width)
        return (*(self.original_size or size), *self.crop, *(self.target_size or size))
