"""What the adapters over transformers (DiT, PixArt, SD3, Flux) share."""

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, Condition, Features, FlowSchedule, Network
from diffusion_geodesics.models.activations import middle_block, recorded_outputs, tokens_to_grid
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.latent_model import LatentModel
from diffusion_geodesics.models.locks import exclusive
from diffusion_geodesics.models.schedulers import read_schedule

__all__ = ["TransformerModel", "TransformerNetwork", "check_variance", "per_row"]


@dataclass(frozen=True, eq=False)
class TransformerNetwork(Network):
    """A diffusers transformer on flat latents of one shape. The network of a family is final.

    Args:
        transformer: called through ``__call__``, so that offloading hooks fire.
        latent_shape: (channels, height, width).
        device: where its inputs go.
    """

    transformer: Any
    latent_shape: tuple[int, int, int]
    device: torch.device

    text_tokens: ClassVar[int] = 0
    """Tokens of the text that are processed beside the image's."""

    @property
    @final
    def dim(self) -> int:
        """Coordinates of a flat latent."""
        return math.prod(self.latent_shape)

    @property
    @final
    def tokens(self) -> int:
        """Tokens of the image, one a patch."""
        _, height, width = self.latent_shape
        return height * width // self.patch**2

    @property
    @final
    def batches(self) -> ChunkedBatches:
        """Batches by a rough estimate: some fifty activations of the inner width alive a token."""
        config = self.transformer.config
        width = config["num_attention_heads"] * config["attention_head_dim"]
        size = torch.finfo(self.transformer.dtype).bits // 8
        tokens = self.tokens + self.text_tokens
        return ChunkedBatches(48 * tokens * width * size, self.device)

    @final
    def __call__(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows dim"]:
        """The raw output; inputs are cast to the network's precision.

        Further channels, which hold a learned variance, have no part in the score and are dropped.
        """
        dtype = self.transformer.dtype
        latents = x.to(dtype).to(self.device).unflatten(1, self.latent_shape)
        with exclusive(self.transformer):
            output = self._evaluate(latents, timestep, condition)
        return output[:, : self.latent_shape[0]].flatten(1)

    @final
    def features(
        self, x: Float[Tensor, "rows dim"], timestep: float, condition: Condition
    ) -> Features:
        """The image's tokens after the middle one of all blocks, one a patch; one grid."""
        _, height, width = self.latent_shape
        blocks = middle_block(*self._stacks)
        with exclusive(self.transformer), recorded_outputs(blocks) as outputs:
            self(x, timestep, condition)
        grid = (height // self.patch, width // self.patch)
        return tuple(tokens_to_grid(tokens, *grid) for tokens in outputs)

    @property
    def patch(self) -> int:
        """The edge of a patch in latent pixels."""
        return self.transformer.config["patch_size"]

    @property
    def _stacks(self) -> tuple[Iterable[torch.nn.Module], ...]:
        """The transformer's blocks, stack after stack."""
        return (self.transformer.transformer_blocks,)

    @abstractmethod
    def _evaluate(
        self, latents: Float[Tensor, "rows c h w"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows d h w"]:
        """The transformer's output at latents in its precision, on its device."""

    @final
    def _placed(self, part: Tensor) -> Tensor:
        """A part of a condition in the transformer's precision, on its device."""
        return part.to(self.transformer.dtype).to(self.device)


@dataclass(frozen=True, eq=False)
class TransformerModel(LatentModel):
    """A pipeline with a transformer. All else as in `PipelineModel`."""

    @property
    @final
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times patch."""
        return self._factor * self._patch

    @property
    def _patch(self) -> int:
        return self._network.config["patch_size"]

    @property
    def _latent_channels(self) -> int:
        """Channels of the latents that the transformer takes."""
        return self._network.config["in_channels"]

    def _check_usable(self) -> None:
        """Check that transformer and autoencoder agree about the latents."""
        latent = self.pipeline.vae.config["latent_channels"]
        if self._latent_channels != latent:
            raise ModelError(
                f"got a transformer for latents of {self._latent_channels} channels and an "
                f"autoencoder of {latent}: an inpainting, control or editing model; load one that "
                "generates whole images"
            )

    @final
    def _flow_schedule(self, tokens: int) -> FlowSchedule:
        """The schedule of flow matching for images of so many tokens.

        Raises:
            ModelError: for a scheduler of another kind.
        """
        schedule = read_schedule(self.pipeline.scheduler, tokens)
        if not isinstance(schedule, FlowSchedule):
            raise ModelError(
                f"got a {type(self.pipeline.scheduler).__name__}; a {type(self.pipeline).__name__} "
                "needs a scheduler of flow matching, for example FlowMatchEulerDiscreteScheduler"
            )
        return schedule


def per_row(value: float, x: Tensor, device: torch.device) -> Float[Tensor, " rows"]:
    """A number that a network takes (a time, a weight), once for each row of ``x``, in float32."""
    return torch.full((x.shape[0],), value, dtype=torch.float32, device=device)


def check_variance(network: Any) -> None:
    """Check that a network gives a prediction, or a prediction and a variance.

    Raises:
        ModelError: otherwise.
    """
    taken = network.config["in_channels"]
    given = network.config["out_channels"] or taken
    if given not in (taken, 2 * taken):
        raise ModelError(
            f"got a network of {taken} channels in and {given} out; expected as many out, or "
            "twice as many with a learned variance"
        )
