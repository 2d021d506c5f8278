r"""Stable Diffusion 3 and 3.5: flow matching in a latent space of 16 channels.

The transformer predicts the velocity :math:`v = \varepsilon - x_0` on
:math:`x_\sigma = (1 - \sigma) x_0 + \sigma \varepsilon` and takes :math:`1000\,\sigma` as its time.
It reads the text as tokens (two CLIP encoders side by side, then T5) and as one pooled vector
(Esser et al., arXiv 2403.03206).
"""

from dataclasses import dataclass
from typing import ClassVar, final

from diffusion_geodesics.diffusion import Condition, Rows
from diffusion_geodesics.models.families import STABLE_DIFFUSION_3, ModelFamily
from diffusion_geodesics.models.pipeline_model import as_condition
from diffusion_geodesics.models.pipeline_network import Output
from diffusion_geodesics.models.text import reading
from diffusion_geodesics.models.transformer import TransformerModel, TransformerNetwork


@final
@dataclass(frozen=True, eq=False)
class SD3Network(TransformerNetwork):
    """An `SD3Transformer2DModel` on flat latents."""

    text_tokens: ClassVar[int] = 77 + 256
    """CLIP's tokens, then T5's."""

    def _evaluate(self, x: Rows, timestep: float, condition: Condition) -> Output:
        embeddings, pooled = map(self._placed, condition.parts)
        return self.module(
            hidden_states=self._latents(x),
            timestep=self._per_row(timestep, x),
            encoder_hidden_states=embeddings,
            pooled_projections=pooled,
            return_dict=False,
        )[0]


@final
@dataclass(frozen=True, eq=False)
class StableDiffusion3Model(TransformerModel):
    """A `StableDiffusion3Pipeline`, taken apart; the pipeline is only read.

    A condition has two parts: the tokens' hidden states (rows, tokens, width) and the pooled
    vector (rows, width). Both interpolate linearly. The third text encoder (T5) may be missing: its
    tokens are then zero, as in the pipeline. Without one of the two CLIP encoders, conditions must
    be made from embeddings kept earlier.
    """

    family: ClassVar[ModelFamily] = STABLE_DIFFUSION_3
    network_class: ClassVar[type[TransformerNetwork]] = SD3Network
    flow: ClassVar[bool] = True

    @property
    def largest_size(self) -> int:
        """The largest height or width, in pixels, that there are position embeddings for."""
        return self._network.config["pos_embed_max_size"] * self.size_multiple

    def encode_prompt(self, text: str) -> Condition:
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
