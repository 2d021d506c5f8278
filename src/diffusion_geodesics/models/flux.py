r"""Flux.1: flow matching on latents that the transformer takes as a sequence of 2x2 patches.

The transformer predicts the velocity :math:`v = \varepsilon - x_0` on
:math:`x_\sigma = (1 - \sigma) x_0 + \sigma \varepsilon` and takes :math:`\sigma` as its time.
A latent is flat (channels, height, width), as the autoencoder has it; cutting it into patches only
permutes the coordinates.

**None of the published models has a true density.** ``dev`` is guidance-distilled: it takes a
guidance weight :math:`w` and imitates :math:`v_\varnothing + w (v_c - v_\varnothing)`, the score of
no density for any :math:`w` but 1, for which it was not trained. ``schnell`` is timestep-distilled:
away from its few steps its output is no conditional mean.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, FlowSchedule, NoiseSchedule, Prediction, Rows
from diffusion_geodesics.models.families import FLUX, ModelFamily
from diffusion_geodesics.models.pipeline_model import as_condition
from diffusion_geodesics.models.pipeline_network import Output
from diffusion_geodesics.models.text import reading
from diffusion_geodesics.models.transformer import TransformerModel, TransformerNetwork

PATCH = 2


def pack(latents: Float[Tensor, "rows c h w"]) -> Float[Tensor, "rows tokens depth"]:
    """Latents as a sequence of 2x2 patches, (h/2)(w/2) tokens of 4c channels; h and w even."""
    rows, channels, height, width = latents.shape
    patches = latents.reshape(rows, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(rows, -1, channels * PATCH**2)


def unpack(
    tokens: Float[Tensor, "rows tokens depth"], height: int, width: int
) -> Float[Tensor, "rows c h w"]:
    """The inverse of `pack`, for latents of ``height`` and ``width``."""
    rows, _, depth = tokens.shape
    channels = depth // PATCH**2
    patches = tokens.reshape(rows, height // PATCH, width // PATCH, channels, PATCH, PATCH)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(rows, channels, height, width)


def positions(height: int, width: int) -> Float[Tensor, "tokens 3"]:
    """(0, row, column) of every patch of latents of ``height`` and ``width``."""
    rows, columns = torch.arange(height // PATCH), torch.arange(width // PATCH)
    return torch.cartesian_prod(torch.zeros(1), rows.float(), columns.float())


@final
@dataclass(frozen=True, eq=False)
class FluxNetwork(TransformerNetwork):
    """A `FluxTransformer2DModel` on flat latents of even height and width.

    ``guidance`` is the weight that a guidance-distilled transformer takes; time steps are divided
    by ``train_steps``. Features are those of the middle of the double-stream and then the
    single-stream blocks.
    """

    guidance: float
    train_steps: int

    text_tokens: ClassVar[int] = 512

    @property
    def patch(self) -> int:
        return PATCH

    @property
    def _stacks(self) -> tuple[Iterable[torch.nn.Module], ...]:
        return (self.module.transformer_blocks, self.module.single_transformer_blocks)

    def _evaluate(self, x: Rows, timestep: float, condition: Condition) -> Output:
        embeddings, pooled = map(self._placed, condition.parts)
        _, height, width = self.latent_shape
        guided = self.module.config["guidance_embeds"]
        output = self.module(
            hidden_states=pack(self._latents(x)),
            timestep=self._per_row(timestep / self.train_steps, x),
            guidance=self._per_row(self.guidance, x) if guided else None,
            encoder_hidden_states=embeddings,
            pooled_projections=pooled,
            txt_ids=torch.zeros(embeddings.shape[1], 3, device=self.device),
            img_ids=positions(height, width).to(self.device),
            return_dict=False,
        )[0]
        return unpack(output, height, width)


@final
@dataclass(frozen=True, eq=False)
class FluxModel(TransformerModel):
    """A `FluxPipeline`, taken apart; the pipeline is only read.

    A condition has two parts: T5's hidden states (rows, tokens, width) and CLIP's pooled vector
    (rows, width). Both interpolate linearly. ``guidance`` is the weight w that a
    guidance-distilled transformer takes, the pipeline's own 3.5 by default.
    """

    guidance: float = 3.5

    family: ClassVar[ModelFamily] = FLUX
    network_class: ClassVar[type[TransformerNetwork]] = FluxNetwork
    flow: ClassVar[bool] = True

    @property
    def caveat(self) -> str:
        """Which distillation makes the score that of no density."""
        if self._network.config["guidance_embeds"]:
            return (
                "guidance-distilled: the score imitates a guided one, which is that of no density"
            )
        return "if distilled for few steps, as Flux.1 schnell is, the score is that of no density"

    def encode_prompt(self, text: str) -> Condition:
        with reading(self.pipeline, self.family.readers, text):
            embeddings, pooled, _ = self.pipeline.encode_prompt(text, device=self.device)
        return as_condition(embeddings, pooled)

    def _network_for(self, height: int, width: int) -> TransformerNetwork:
        shape = self.latent_shape(height, width)
        train_steps = self.pipeline.scheduler.config["num_train_timesteps"]
        return FluxNetwork(self._network, shape, self.device, self.guidance, train_steps)

    def _scheduled(self, tokens: int) -> tuple[NoiseSchedule, Prediction]:
        schedule, prediction = super()._scheduled(tokens)
        if isinstance(schedule, FlowSchedule):
            schedule = replace(schedule, lowest=None)  # the pipeline's even grid ends at 1/steps
        return schedule, prediction

    @property
    def _native_latent_edge(self) -> int | None:
        return self.pipeline.default_sample_size

    @property
    def _patch(self) -> int:
        return PATCH

    @property
    def _latent_channels(self) -> int:
        return self._network.config["in_channels"] // PATCH**2
