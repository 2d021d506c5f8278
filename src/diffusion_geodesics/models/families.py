"""The registry: every model family that `load_model` and `from_pipeline` know, a line each.

The adapters import diffusers only when they are used, so that this list costs nothing.
"""

from typing import Any

from diffusion_geodesics.models.ddpm import DDPM
from diffusion_geodesics.models.dit import DIT
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.flux import FLUX
from diffusion_geodesics.models.pixart import PIXART
from diffusion_geodesics.models.sd import STABLE_DIFFUSION
from diffusion_geodesics.models.sd3 import STABLE_DIFFUSION_3
from diffusion_geodesics.models.sdxl import SDXL

__all__ = ["FAMILIES", "family_named", "family_of"]

FAMILIES: tuple[ModelFamily, ...] = (
    STABLE_DIFFUSION,
    SDXL,
    STABLE_DIFFUSION_3,
    FLUX,
    PIXART,
    DIT,
    DDPM,
)


def family_named(pipeline_class: object, of: str) -> ModelFamily:
    """The family whose pipelines have this class name; `of` names the model in the error."""
    for family in FAMILIES:
        if pipeline_class in family.pipelines:
            return family
    raise ModelError(f"{of} is a {pipeline_class}; expected one of {_known()}")


def family_of(pipe: Any) -> ModelFamily:
    """The family of a pipeline in memory."""
    for family in FAMILIES:
        if family.claims(pipe):
            return family
    raise ModelError(f"got a {type(pipe).__name__}; expected one of {_known()}")


def _known() -> str:
    return ", ".join(family.pipelines[0] for family in FAMILIES)
