"""PixArt-alpha and PixArt-sigma: a transformer that predicts noise, with T5 for the text.

Prompts have a mask, so that T5's padding is not attended to (Chen et al., arXiv 2310.00426 and
2403.04692).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Rows
from diffusion_geodesics.models.families import PIXART, ModelFamily
from diffusion_geodesics.models.pipeline_model import as_condition
from diffusion_geodesics.models.pipeline_network import Output
from diffusion_geodesics.models.text import reading
from diffusion_geodesics.models.transformer import TransformerModel, TransformerNetwork

HIDDEN = -10_000.0
"""Added to the attention scores of a token that is not attended to, as in diffusers."""


@final
@dataclass(frozen=True, eq=False)
class PixArtNetwork(TransformerNetwork):
    r"""A `PixArtTransformer2DModel`; ``size`` is (height, width) of the images in pixels.

    The mask :math:`m` of a condition, from 0 to 1 for each token, multiplies that token's attention
    weight: :math:`\ln m` is added to the scores. For a prompt it is 0 or 1, as in the pipeline.
    Between two prompts it is interpolated with the embeddings, so that a token that only one of
    them has fades in, and the output is continuous along the path.
    """

    size: tuple[int, int]

    text_tokens: ClassVar[int] = 300

    def _evaluate(self, x: Rows, timestep: float, condition: Condition) -> Output:
        embeddings, mask = condition.parts
        bias = self._placed(mask.clamp(0.0, 1.0).log().clamp(min=HIDDEN))
        return self.module(
            self._latents(x),
            encoder_hidden_states=self._placed(embeddings),
            encoder_attention_mask=bias[:, None],
            timestep=self._per_row(timestep, x),
            added_cond_kwargs=self._size_conditions(len(x)),
            return_dict=False,
        )[0]

    def _size_conditions(self, rows: int) -> dict[str, Tensor | None]:
        """Resolution and aspect ratio, where the transformer has embeddings for them."""
        if not self.module.use_additional_conditions:
            return {"resolution": None, "aspect_ratio": None}
        height, width = self.size
        settings: dict[str, Any] = {"dtype": self.module.dtype, "device": self.device}
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

    family: ClassVar[ModelFamily] = PIXART
    network_class: ClassVar[type[TransformerNetwork]] = PixArtNetwork

    def _network_for(self, height: int, width: int) -> TransformerNetwork:
        shape = self.latent_shape(height, width)
        return PixArtNetwork(self._network, shape, self.device, (height, width))

    def encode_prompt(self, text: str) -> Condition:
        """As for every model; the text is cleaned first, where bs4 and ftfy are installed."""
        with reading(self.pipeline, self.family.readers, text):
            embeddings, mask, _, _ = self.pipeline.encode_prompt(
                text,
                do_classifier_free_guidance=False,
                device=self.device,
                clean_caption=_can_clean(),
            )
        return as_condition(embeddings, mask.to(embeddings.dtype))

    def prompt_notes(self, text: str) -> tuple[str, ...]:
        (cleaned,) = self.pipeline._text_preprocessing(text, clean_caption=_can_clean())
        return super().prompt_notes(cleaned)


def _can_clean() -> bool:
    """Whether the packages are installed that diffusers cleans captions with."""
    return all(find_spec(package) is not None for package in ("bs4", "ftfy"))
