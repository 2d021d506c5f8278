r"""Stable Diffusion 3 and 3.5: flow matching in a latent space of 16 channels.

The transformer predicts the velocity :math:`v = \varepsilon - x_0` on
:math:`x_\sigma = (1 - \sigma) x_0 + \sigma \varepsilon` and takes :math:`1000\,\sigma` as its time.
It reads the text twice: as tokens (two CLIP encoders side by side, then T5) and as one pooled
vector.

References:
    Esser et al., Scaling rectified flow transformers, arXiv 2403.03206.
"""

from dataclasses import dataclass
from typing import ClassVar, final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Denoiser, FlowPrediction
from diffusion_geodesics.models.families import STABLE_DIFFUSION_3
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.pipeline_model import as_condition
from diffusion_geodesics.models.text import reading
from diffusion_geodesics.models.transformer import TransformerModel, TransformerNetwork, per_row

__all__ = ["SD3Network", "StableDiffusion3Model"]


@final
@dataclass(frozen=True, eq=False)
class SD3Network(TransformerNetwork):
    """An `SD3Transformer2DModel` on flat latents; arguments as `TransformerNetwork`."""

    text_tokens: ClassVar[int] = 77 + 256
    """CLIP's tokens, then T5's."""

    def _evaluate(
        self, latents: Float[Tensor, "rows c h w"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows d h w"]:
        embeddings, pooled = condition.parts
        return self.transformer(
            hidden_states=latents,
            timestep=per_row(timestep, latents, self.device),
            encoder_hidden_states=self._placed(embeddings),
            pooled_projections=self._placed(pooled),
            return_dict=False,
        )[0]


@final
@dataclass(frozen=True, eq=False)
class StableDiffusion3Model(TransformerModel):
    """A `StableDiffusion3Pipeline`, taken apart; the pipeline is only read.

    A condition has two parts: the tokens' hidden states (rows, tokens, width) and the pooled
    vector (rows, width). Both interpolate linearly.

    The third text encoder (T5) may be missing: its tokens are then zero, as in the pipeline.
    Without one of the two CLIP encoders, conditions must be made from embeddings kept earlier.
    """

    @property
    def family(self) -> ModelFamily:
        """Stable Diffusion 3."""
        return STABLE_DIFFUSION_3

    @property
    def largest_size(self) -> int:
        """The largest height or width, in pixels, that there are position embeddings for."""
        return self._network.config["pos_embed_max_size"] * self.size_multiple

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size; its grid of time steps is the size's.

        Raises:
            ValueError: for a size that is no multiple of :attr:`size_multiple`, or above
                :attr:`largest_size`.
        """
        shape = self.latent_shape(height, width)
        network = SD3Network(self._network, shape, self.device)
        return Denoiser(network, self._flow_schedule(network.tokens), FlowPrediction())

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; ``""`` is the null condition.

        Text beyond the encoders' lengths is cut off; see :meth:`prompt_notes`.

        Raises:
            ModelError: for a pipeline without one of the two CLIP encoders, and if the tokenizers
                know nothing of the prompt.
        """
        with reading(self.pipeline, self.family.readers, text):
            embeddings, _, pooled, _ = self.pipeline.encode_prompt(
                text, None, None, device=self.device, do_classifier_free_guidance=False
            )
        return as_condition(embeddings, pooled)

    def _check_size(self, height: int, width: int) -> None:
        super()._check_size(height, width)
        if max(height, width) > self.largest_size:
            raise ValueError(
                f"got images of {height}x{width}; {self.id} has position embeddings for at most "
                f"{self.largest_size} pixels an edge: choose a smaller size"
            )

    def _check_usable(self) -> None:
        self._flow_schedule(tokens=1)
        super()._check_usable()
