"""SDXL, Playground 2.5 and every pipeline of the same make.

Besides the hidden states of two text encoders the U-Net takes a pooled embedding and six numbers:
the size of the original image, the corner of its crop and the size aimed at.

References:
    Podell et al., SDXL, arXiv 2307.01952.
"""

from dataclasses import dataclass
from typing import final

import torch

from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.models.families import SDXL
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.pipeline_model import as_condition
from diffusion_geodesics.models.text import reading
from diffusion_geodesics.models.unet_model import UNetModel

__all__ = ["StableDiffusionXLModel"]


@final
@dataclass(frozen=True, eq=False)
class StableDiffusionXLModel(UNetModel):
    """An SDXL pipeline, taken apart; the pipeline is only read.

    Its autoencoder runs in float32 where its configuration has ``force_upcast`` and it is kept in
    float16. All else as in `PipelineModel`.

    Args:
        original_size, target_size: (height, width) in pixels that the network is given; the
            images' own by default.
        crop: (top, left) in pixels that it is given.
    """

    original_size: tuple[int, int] | None = None
    crop: tuple[int, int] = (0, 0)
    target_size: tuple[int, int] | None = None

    @property
    def family(self) -> ModelFamily:
        """SDXL."""
        return SDXL

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row of two parts: hidden states and pooled embedding.

        ``""`` is the null condition: zeros where the pipeline's configuration has
        ``force_zeros_for_empty_prompt``, as its own guidance takes them. Text beyond the encoders'
        length is cut off; see :meth:`prompt_notes`.

        Raises:
            ModelError: if the tokenizers know nothing of the prompt.
        """
        with reading(self.pipeline, self.family.readers, text):
            embeddings, _, pooled, _ = self.pipeline.encode_prompt(
                text, device=self.device, do_classifier_free_guidance=False
            )
        if not text and self.pipeline.config.get("force_zeros_for_empty_prompt"):
            embeddings, pooled = torch.zeros_like(embeddings), torch.zeros_like(pooled)
        return as_condition(embeddings, pooled)

    @property
    def _upcasts(self) -> bool:
        vae = self.pipeline.vae
        return vae.dtype == torch.float16 and bool(vae.config.get("force_upcast"))

    def _sizes(self, height: int, width: int) -> tuple[int, int, int, int, int, int] | None:
        size = (height, width)
        return (*(self.original_size or size), *self.crop, *(self.target_size or size))
