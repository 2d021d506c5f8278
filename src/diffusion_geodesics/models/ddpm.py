r"""Unconditional models on pixels: DDPM and DDIM pipelines.

A `UNet2DModel` on images with values in [-1, 1] may predict noise, the clean image or v. The
clipping of :math:`\hat x_0` by schedulers is not followed: a clipped prediction is no conditional
mean.
"""

from dataclasses import dataclass
from typing import ClassVar, final

import torch

from diffusion_geodesics.diffusion import Condition, Denoiser
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import DDPM, ModelFamily
from diffusion_geodesics.models.pipeline_model import PipelineModel, check_size, largest_edge
from diffusion_geodesics.models.pipeline_network import PixelNetwork, check_variance
from diffusion_geodesics.models.pixel import PixelCodec
from diffusion_geodesics.models.schedulers import read_scheduler


@final
@dataclass(frozen=True, eq=False)
class PixelModel(PipelineModel):
    """A `DDPMPipeline` or `DDIMPipeline`, taken apart; the pipeline is only read.

    Images are RGB or grey; grey ones are averaged over their colours on the way in. The only
    condition is the empty one.
    """

    family: ClassVar[ModelFamily] = DDPM

    @property
    def native_size(self) -> int:
        return largest_edge(self._network.config["sample_size"])

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: the U-Net's downsampling."""
        return 2 ** (len(self._network.config["block_out_channels"]) - 1)

    def codec(self, height: int, width: int) -> PixelCodec:
        check_size(height, width, self.size_multiple, self.id)
        return PixelCodec(height, width, self._network.config["in_channels"], self.device)

    def denoiser(self, height: int, width: int) -> Denoiser:
        shape = self.codec(height, width).latent_shape
        network = PixelNetwork(self._network, shape, self.device)
        return Denoiser(network, *read_scheduler(self.pipeline.scheduler))

    def encode_prompt(self, text: str) -> Condition:
        """The empty condition, one row; `ModelError` for a prompt that is not empty."""
        if text.strip():
            raise ModelError(
                f"got the prompt {text!r}; {self.id} is an unconditional model: leave it empty"
            )
        return Condition((torch.zeros(1, 0),))

    def _check_usable(self) -> None:
        config = self._network.config
        if config["in_channels"] not in (1, 3):
            raise ModelError(
                f"got a U-Net of {config['in_channels']} channels; expected 1 (grey) or 3 (RGB): a "
                "model on latents needs its own pipeline"
            )
        if config["num_class_embeds"] is not None or config["class_embed_type"] is not None:
            raise ModelError(
                "got a U-Net conditioned on classes in an unconditional pipeline; load an "
                "unconditional one"
            )
        if config["sample_size"] is None:
            raise ModelError("got a U-Net without sample_size; set the size of its images there")
        check_variance(self._network)
