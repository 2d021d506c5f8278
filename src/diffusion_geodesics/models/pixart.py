r"""PixArt-alpha and PixArt-sigma: a transformer that predicts noise, with T5 for the text.

The transformer gives :math:`\hat\varepsilon` and, in further channels, a variance for ancestral
sampling, which has no part in the score and is dropped. Prompts have a mask, so that T5's padding
is not attended to.

References:
    Chen et al., PixArt-alpha, arXiv 2310.00426; PixArt-sigma, arXiv 2403.04692.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Denoiser
from diffusion_geodesics.models.families import PIXART
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.pipeline_model import as_condition
from diffusion_geodesics.models.schedulers import read_scheduler
from diffusion_geodesics.models.text import reading
from diffusion_geodesics.models.transformer import (
    TransformerModel,
    TransformerNetwork,
    check_variance,
    per_row,
)

__all__ = ["PixArtModel", "PixArtNetwork"]

HIDDEN = -10_000.0
"""Added to the attention scores of a token that is not attended to, as in diffusers."""


@final
@dataclass(frozen=True, eq=False)
class PixArtNetwork(TransformerNetwork):
    r"""A `PixArtTransformer2DModel` on flat latents of one shape.

    The mask :math:`m` of a condition, from 0 to 1 for each token, multiplies that token's attention
    weight: :math:`\ln m` is added to the scores. For a prompt it is 0 or 1, as in the pipeline.
    Between two prompts it is interpolated with the embeddings, so that a token that only one of
    them has fades in: tokens of either are attended to, and the output is continuous along the
    path.

    Args:
        size: (height, width) of the images in pixels, for transformers that take them.
    """

    size: tuple[int, int]

    text_tokens: ClassVar[int] = 300

    def _evaluate(
        self, latents: Float[Tensor, "rows c h w"], timestep: float, condition: Condition
    ) -> Float[Tensor, "rows d h w"]:
        embeddings, mask = condition.parts
        bias = self._placed(mask.clamp(0.0, 1.0).log().clamp(min=HIDDEN))
        return self.transformer(
            latents,
            encoder_hidden_states=self._placed(embeddings),
            encoder_attention_mask=bias[:, None],
            timestep=per_row(timestep, latents, self.device),
            added_cond_kwargs=self._size_conditions(len(latents)),
            return_dict=False,
        )[0]

    def _size_conditions(self, rows: int) -> dict[str, Tensor | None]:
        """Resolution and aspect ratio, where the transformer has embeddings for them."""
        if not self.transformer.use_additional_conditions:
            return {"resolution": None, "aspect_ratio": None}
        height, width = self.size
        settings: dict[str, Any] = {"dtype": self.transformer.dtype, "device": self.device}
        return {
            "resolution": torch.tensor([[height, width]], **settings).expand(rows, 2),
            "aspect_ratio": torch.tensor([[height / width]], **settings).expand(rows, 1),
        }


@final
@dataclass(frozen=True, eq=False)
class PixArtModel(TransformerModel):
    """A `PixArtAlphaPipeline` or `PixArtSigmaPipeline`, taken apart; the pipeline is only read.

    A condition has two parts: T5's hidden states (rows, tokens, width) and their mask (rows,
    tokens), see `PixArtNetwork`. Images are taken at the size given: the pipeline's rounding to
    the nearest size of a list (``use_resolution_binning``) is not copied.
    """

    @property
    def family(self) -> ModelFamily:
        """PixArt."""
        return PIXART

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size in pixels.

        Raises:
            ValueError: for a size that is no multiple of :attr:`size_multiple`.
        """
        shape = self.latent_shape(height, width)
        network = PixArtNetwork(self._network, shape, self.device, (height, width))
        return Denoiser(network, *read_scheduler(self.pipeline.scheduler))

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; ``""`` is the null condition.

        The text is cleaned as the pipeline does, where the packages for that (bs4, ftfy) are
        installed, and cut off beyond the model's length; see :meth:`prompt_notes`.

        Raises:
            ModelError: for a pipeline without its text encoder, and if the tokenizer knows nothing
                of the prompt.
        """
        with reading(self.pipeline, self.family.readers, text):
            embeddings, mask, _, _ = self.pipeline.encode_prompt(
                text,
                do_classifier_free_guidance=False,
                device=self.device,
                clean_caption=_can_clean(),
            )
        return as_condition(embeddings, mask.to(embeddings.dtype))

    def prompt_notes(self, text: str) -> tuple[str, ...]:
        """What the tokenizer cuts off or does not know of a cleaned prompt, a sentence each."""
        (cleaned,) = self.pipeline._text_preprocessing(text, clean_caption=_can_clean())
        return super().prompt_notes(cleaned)

    def _check_usable(self) -> None:
        super()._check_usable()
        check_variance(self._network)


def _can_clean() -> bool:
    """Whether the packages are installed that diffusers cleans captions with."""
    return all(find_spec(package) is not None for package in ("bs4", "ftfy"))
