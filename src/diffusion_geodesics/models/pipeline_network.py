"""What the networks of diffusers' pipelines share, and the U-Nets of latents and of pixels."""

import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, Condition, Features, Network, Rows
from diffusion_geodesics.models.activations import recorded_outputs
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.locks import exclusive

Output = Float[Tensor, "rows d h w"]
"""What a network gives at latents, maybe with further channels."""


@dataclass(frozen=True, eq=False)
class PipelineNetwork(Network):
    """A network of a pipeline on flat latents of one shape (channels, height, width).

    ``module`` is called through ``__call__``, so that offloading hooks fire, and by one thread at
    a time. Further channels of its output hold a learned variance, which has no part in the score;
    they are dropped.
    """

    module: Any
    latent_shape: tuple[int, int, int]
    device: torch.device

    @property
    @final
    def dim(self) -> int:
        return math.prod(self.latent_shape)

    @final
    def __call__(self, x: Rows, timestep: float, condition: Condition) -> Rows:
        """The raw output; inputs are cast to the network's precision."""
        with exclusive(self.module):
            output = self._evaluate(x, timestep, condition)
        return output[:, : self.latent_shape[0]].flatten(1)

    @final
    def features(self, x: Rows, timestep: float, condition: Condition) -> Features:
        with exclusive(self.module), recorded_outputs(self._feature_blocks) as outputs:
            self(x, timestep, condition)
        return tuple(map(self._grid, outputs))

    @abstractmethod
    def _evaluate(self, x: Rows, timestep: float, condition: Condition) -> Output:
        """The module's output at flat latents in the geometry's precision."""

    @property
    @abstractmethod
    def _feature_blocks(self) -> Iterable[torch.nn.Module]:
        """The blocks whose outputs are the features."""

    def _grid(self, output: Tensor) -> Float[Tensor, "rows channels height width"]:
        """A block's output as a picture of features."""
        return output

    @final
    def _placed(self, part: Tensor) -> Tensor:
        """A tensor in the module's precision, on its device."""
        return part.to(self.module.dtype).to(self.device)

    @final
    def _latents(self, x: Rows) -> Float[Tensor, "rows c h w"]:
        """Flat latents as the module takes them."""
        return self._placed(x).unflatten(1, self.latent_shape)

    @final
    def _per_row(self, value: float, x: Tensor) -> Float[Tensor, " rows"]:
        """A number that the module takes (a time, a weight), once for each row, in float32."""
        return torch.full((len(x),), value, dtype=torch.float32, device=self.device)

    @property
    def _number_size(self) -> int:
        """Bytes of a number in the module's precision."""
        return torch.finfo(self.module.dtype).bits // 8


@dataclass(frozen=True, eq=False)
class _UNet(PipelineNetwork):
    """A U-Net. Its features are those of the first two up blocks, as in DIFT."""

    @property
    def batches(self) -> ChunkedBatches:
        """By a rough estimate: some sixty activations at full resolution alive an evaluation."""
        _, height, width = self.latent_shape
        channels = self.module.config["block_out_channels"][0]
        return ChunkedBatches(64 * channels * height * width * self._number_size, self.device)

    @property
    def _feature_blocks(self) -> Iterable[torch.nn.Module]:
        return list(self.module.up_blocks)[:2]


@final
@dataclass(frozen=True, eq=False)
class UNetNetwork(_UNet):
    r"""A `UNet2DConditionModel`, or the embedded model's `UNet`.

    Args:
        sigma_data: of EDM's preconditioning, where the time step is :math:`\sigma`: the inputs are
            :math:`x / \sqrt{\sigma^2 + \sigma_\text{data}^2}` and :math:`\frac14 \ln \sigma`.
            ``None`` for networks that take latents and time steps as they are.
        sizes: SDXL's six numbers (original height and width, crop top and left, target height and
            width); the condition then has a second part, the pooled text embedding.
    """

    sigma_data: float | None = None
    sizes: tuple[int, int, int, int, int, int] | None = None

    def _evaluate(self, x: Rows, timestep: float, condition: Condition) -> Output:
        embeddings, *pooled = map(self._placed, condition.parts)
        if self.sigma_data is not None:
            x, timestep = x / math.hypot(timestep, self.sigma_data), math.log(timestep) / 4
        added: dict[str, Any] = {}
        if self.sizes is not None:
            sizes = torch.tensor([self.sizes], dtype=torch.float32, device=self.device)
            (text,) = pooled
            added = {"text_embeds": text, "time_ids": sizes.expand(len(x), 6)}
        return self.module(
            self._latents(x),
            timestep,
            encoder_hidden_states=embeddings,
            added_cond_kwargs=added,
            return_dict=False,
        )[0]


@final
@dataclass(frozen=True, eq=False)
class PixelNetwork(_UNet):
    """A `UNet2DModel` on flat images."""

    def _evaluate(self, x: Rows, timestep: float, condition: Condition) -> Output:
        time = self._per_row(timestep, x)  # a plain number would be cut to a whole one
        return self.module(self._latents(x), time, return_dict=False)[0]


def check_variance(network: Any) -> None:
    """`ModelError` for a network that gives no prediction, or more than one with a variance."""
    taken = network.config["in_channels"]
    given = network.config["out_channels"] or taken
    if given not in (taken, 2 * taken):
        raise ModelError(
            f"got a network of {taken} channels in and {given} out; expected as many out, or "
            "twice as many with a learned variance"
        )
