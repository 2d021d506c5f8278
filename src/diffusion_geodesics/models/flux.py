r"""Flux.1: flow matching on latents that the transformer takes as a sequence of 2x2 patches.

The transformer predicts the velocity :math:`v = \varepsilon - x_0` on
:math:`x_\sigma = (1 - \sigma) x_0 + \sigma \varepsilon` and takes :math:`\sigma` as its time.
Here a latent is flat (channels, height, width), as the autoencoder has it; it is cut into patches
inside the network's adapter, which is a permutation of the coordinates and does not change the
geometry.

**None of the published models has a true density.** ``dev`` is guidance-distilled: it takes a
guidance weight :math:`w` and imitates :math:`v_\varnothing + w (v_c - v_\varnothing)`, the score of
no density for any :math:`w` but 1, for which it was not trained. ``schnell`` is timestep-distilled:
away from its few steps its output is no conditional mean. Lengths and densities computed from
either are labelled.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Denoiser, FlowPrediction
from diffusion_geodesics.models.families import FLUX
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.pipeline_model import as_condition
from diffusion_geodesics.models.text import reading
from diffusion_geodesics.models.transformer import TransformerModel, TransformerNetwork, per_row

__all__ = ["FluxModel", "FluxNetwork", "pack", "positions", "unpack"]

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

    Features are those of the middle of all blocks: of ``dev``'s 19 double-stream and then 38
    single-stream blocks, the tenth single-stream one.

    Args:
        guidance: the weight that a guidance-distilled transformer takes.
        train_steps: T; the transformer takes ``timestep`` / T.
    """

    guidance: float
    train_steps: int

    text_tokens: ClassVar[int] = 512

    @property
    def patch(self) -> int:
        """2: the edge of a patch in latent pixels."""
        return PATCH

    @property
    def _stacks(self) -> tuple[Iterable[torch.nn.Module], ...]:
        return (self.transformer.transformer_blocks, self.transformer.single_transformer_blocks)

    def _evaluate(
        self, latents: Float[Tensor, "rows c h w"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows d h w"]:
        embeddings, pooled = condition.parts
        _, height, width = self.latent_shape
        guided = self.transformer.config["guidance_embeds"]
        output = self.transformer(
            hidden_states=pack(latents),
            timestep=per_row(timestep / self.train_steps, latents, self.device),
            guidance=per_row(self.guidance, latents, self.device) if guided else None,
            encoder_hidden_states=self._placed(embeddings),
            pooled_projections=self._placed(pooled),
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
    (rows, width). Both interpolate linearly. All else as in `PipelineModel`.

    Args:
        guidance: the weight w that a guidance-distilled transformer takes, the pipeline's own 3.5
            by default; without effect on one that takes none.
    """

    guidance: float = 3.5

    @property
    def family(self) -> ModelFamily:
        """Flux.1."""
        return FLUX

    @property
    def caveat(self) -> str:
        """Which distillation makes the score that of no density."""
        if self._network.config["guidance_embeds"]:
            return (
                "guidance-distilled: the score imitates a guided one, which is that of no density"
            )
        return "if distilled for few steps, as Flux.1 schnell is, the score is that of no density"

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size; its grid of time steps is the size's.

        Raises:
            ValueError: for a size that is no multiple of :attr:`size_multiple`.
        """
        shape = self.latent_shape(height, width)
        schedule = self._flow_schedule(shape[1] * shape[2] // PATCH**2)
        schedule = replace(schedule, lowest=None)  # the pipeline's even grid ends at 1/steps
        network = FluxNetwork(
            self._network, shape, self.device, self.guidance, schedule.train_steps
        )
        return Denoiser(network, schedule, FlowPrediction())

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; ``""`` is the null condition.

        Text beyond the encoders' lengths is cut off; see :meth:`prompt_notes`.

        Raises:
            ModelError: for a pipeline without its text encoders, and if the tokenizers know
                nothing of the prompt.
        """
        with reading(self.pipeline, self.family.readers, text):
            embeddings, pooled, _ = self.pipeline.encode_prompt(text, device=self.device)
        return as_condition(embeddings, pooled)

    @property
    def _native_latent_edge(self) -> int | None:
        return self.pipeline.default_sample_size

    @property
    def _patch(self) -> int:
        return PATCH

    @property
    def _latent_channels(self) -> int:
        return self._network.config["in_channels"] // PATCH**2

    def _check_usable(self) -> None:
        self._flow_schedule(tokens=1)
        super()._check_usable()
