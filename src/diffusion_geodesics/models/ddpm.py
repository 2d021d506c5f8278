r"""Unconditional models on pixels: DDPM and DDIM pipelines.

A `UNet2DModel` on images with values in [-1, 1], conditioned on the time step. It may predict
noise, the clean image or v, and give a variance in further channels, which has no part in the
score and is dropped. The clipping of :math:`\hat x_0` by schedulers is not followed: a clipped
prediction is no conditional mean.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, Condition, Denoiser, Features, Network
from diffusion_geodesics.models.activations import recorded_outputs
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import DDPM
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.locks import exclusive
from diffusion_geodesics.models.pipeline_model import PipelineModel, check_size, largest_edge
from diffusion_geodesics.models.pixel import PixelCodec
from diffusion_geodesics.models.schedulers import read_scheduler
from diffusion_geodesics.models.transformer import check_variance, per_row
from diffusion_geodesics.models.unet import unet_batches

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d import UNet2DModel

__all__ = ["PixelModel", "PixelNetwork"]


@final
@dataclass(frozen=True, eq=False)
class PixelNetwork(Network):
    """A `UNet2DModel` on flat images of one shape.

    Args:
        unet: called through ``__call__``, so that offloading hooks fire.
        image_shape: (channels, height, width).
        device: where its inputs go.
    """

    unet: "UNet2DModel"
    image_shape: tuple[int, int, int]
    device: torch.device

    @property
    def dim(self) -> int:
        """Coordinates of a flat image."""
        return math.prod(self.image_shape)

    @property
    def batches(self) -> ChunkedBatches:
        """Batches by a rough estimate of memory; see `unet_batches`."""
        return unet_batches(self.unet, self.image_shape, self.device)

    def __call__(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows dim"]:
        """The raw output without the variance; inputs are cast to the network's precision."""
        with exclusive(self.unet):
            output = self.unet(
                x.to(self.unet.dtype).to(self.device).unflatten(1, self.image_shape),
                per_row(timestep, x, self.device),  # a plain number would be cut to a whole one
                return_dict=False,
            )[0]
        return output[:, : self.image_shape[0]].flatten(1)

    def features(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Features:
        """What the first two up blocks give, fewer where there are fewer: DIFT's features."""
        blocks = list(self.unet.up_blocks)[:2]
        with exclusive(self.unet), recorded_outputs(blocks) as outputs:
            self(x, timestep, condition)
        return tuple(outputs)


@final
@dataclass(frozen=True, eq=False)
class PixelModel(PipelineModel):
    """A `DDPMPipeline` or `DDIMPipeline`, taken apart; the pipeline is only read.

    Images are RGB or grey; grey ones are averaged over their colours on the way in. The only
    condition is the empty one.
    """

    @property
    def family(self) -> ModelFamily:
        """DDPM."""
        return DDPM

    @property
    def native_size(self) -> int:
        """The edge, in pixels, of the square images that the model was trained on."""
        return largest_edge(self._network.config["sample_size"])

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: the U-Net's downsampling."""
        return 2 ** (len(self._network.config["block_out_channels"]) - 1)

    def codec(self, height: int, width: int) -> PixelCodec:
        """The codec for images of a size: pixels to [-1, 1] and back.

        Raises:
            ValueError: for a size that is no multiple of :attr:`size_multiple`.
        """
        channels, _, _ = self.image_shape(height, width)
        return PixelCodec(height, width, channels, self.device)

    def image_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(channels, height, width) as the network takes images of a size; errors as `codec`."""
        check_size(height, width, self.size_multiple, self.id)
        return (self._network.config["in_channels"], height, width)

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for images of a size; errors as :meth:`codec`."""
        network = PixelNetwork(self._network, self.image_shape(height, width), self.device)
        return Denoiser(network, *read_scheduler(self.pipeline.scheduler))

    def encode_prompt(self, text: str) -> Condition:
        """The empty condition, one row.

        Raises:
            ModelError: for a prompt that is not empty.
        """
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
