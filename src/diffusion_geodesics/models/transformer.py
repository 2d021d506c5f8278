"""What the adapters over transformers (DiT, PixArt, SD3, Flux) share."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import (
    ChunkedBatches,
    Denoiser,
    FlowSchedule,
    NoiseSchedule,
    Prediction,
)
from diffusion_geodesics.models.activations import middle_block, tokens_to_grid
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.pipeline_model import LatentModel
from diffusion_geodesics.models.pipeline_network import PipelineNetwork, check_variance
from diffusion_geodesics.models.schedulers import read_scheduler


@dataclass(frozen=True, eq=False)
class TransformerNetwork(PipelineNetwork):
    """A diffusers transformer. Its features are the image's tokens after the middle block."""

    text_tokens: ClassVar[int] = 0
    """Tokens of the text that are processed beside the image's."""

    @property
    @final
    def tokens(self) -> int:
        """Tokens of the image, one a patch."""
        _, height, width = self.latent_shape
        return height * width // self.patch**2

    @property
    @final
    def batches(self) -> ChunkedBatches:
        """By a rough estimate: some fifty activations of the inner width alive a token."""
        config = self.module.config
        width = config["num_attention_heads"] * config["attention_head_dim"]
        tokens = self.tokens + self.text_tokens
        return ChunkedBatches(48 * tokens * width * self._number_size, self.device)

    @property
    def patch(self) -> int:
        """The edge of a patch in latent pixels."""
        return self.module.config["patch_size"]

    @property
    def _stacks(self) -> tuple[Iterable[torch.nn.Module], ...]:
        """The transformer's blocks, stack after stack."""
        return (self.module.transformer_blocks,)

    @property
    def _feature_blocks(self) -> Iterable[torch.nn.Module]:
        return middle_block(*self._stacks)

    def _grid(self, output: Tensor) -> Float[Tensor, "rows channels height width"]:
        _, height, width = self.latent_shape
        return tokens_to_grid(output, height // self.patch, width // self.patch)


@dataclass(frozen=True, eq=False)
class TransformerModel(LatentModel):
    """A pipeline with a transformer. All else as in `PipelineModel`."""

    network_class: ClassVar[type[TransformerNetwork]]
    """What evaluates the transformer."""
    flow: ClassVar[bool] = False
    """Whether the family is one of flow matching; it then needs such a scheduler."""

    @property
    @final
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times patch."""
        return self._factor * self._patch

    @final
    def denoiser(self, height: int, width: int) -> Denoiser:
        network = self._network_for(height, width)
        return Denoiser(network, *self._scheduled(network.tokens))

    def _network_for(self, height: int, width: int) -> TransformerNetwork:
        """The network for latents of images of a size."""
        return self.network_class(self._network, self.latent_shape(height, width), self.device)

    def _scheduled(self, tokens: int) -> tuple[NoiseSchedule, Prediction]:
        """Schedule and prediction for images of so many tokens."""
        schedule, prediction = read_scheduler(self.pipeline.scheduler, tokens)
        if self.flow and not isinstance(schedule, FlowSchedule):
            raise ModelError(
                f"got a {type(self.pipeline.scheduler).__name__}; a {type(self.pipeline).__name__} "
                "needs a scheduler of flow matching, for example FlowMatchEulerDiscreteScheduler"
            )
        return schedule, prediction

    @property
    def _patch(self) -> int:
        return self._network.config["patch_size"]

    @property
    def _latent_channels(self) -> int:
        """Channels of the latents that the transformer takes."""
        return self._network.config["in_channels"]

    @final
    def _check_usable(self) -> None:
        """Check the scheduler, and that transformer and autoencoder agree about the latents."""
        if self.flow:
            self._scheduled(tokens=1)
        latent = self.pipeline.vae.config["latent_channels"]
        if self._latent_channels != latent:
            raise ModelError(
                f"got a transformer for latents of {self._latent_channels} channels and an "
                f"autoencoder of {latent}: an inpainting, control or editing model; load one that "
                "generates whole images"
            )
        if not self.flow:
            check_variance(self._network)
