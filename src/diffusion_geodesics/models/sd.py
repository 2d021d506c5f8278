"""Stable Diffusion 1.x and 2.x, and every pipeline folder of the same make."""

from dataclasses import dataclass
from typing import final

from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.models.families import STABLE_DIFFUSION
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.pipeline_model import as_condition
from diffusion_geodesics.models.text import reading
from diffusion_geodesics.models.unet_model import UNetModel

__all__ = ["StableDiffusionModel"]


@final
@dataclass(frozen=True, eq=False)
class StableDiffusionModel(UNetModel):
    """A Stable Diffusion pipeline, taken apart; the pipeline is only read.

    Get one from `load_model`, or from a pipeline that is loaded already with `from_pipeline`.
    """

    @property
    def family(self) -> ModelFamily:
        """Stable Diffusion."""
        return STABLE_DIFFUSION

    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row of one part; ``""`` is the null condition.

        In float32 (float64 for a float64 model), so that embeddings interpolate without rounding.
        Text beyond the text encoder's length is cut off; see :meth:`prompt_notes`.

        Raises:
            ModelError: if the tokenizer knows nothing of the prompt.
        """
        with reading(self.pipeline, self.family.readers, text):
            embeddings, _ = self.pipeline.encode_prompt(text, self.device, 1, False)
        return as_condition(embeddings)
