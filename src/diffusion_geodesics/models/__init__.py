"""Pretrained models: `load_model` finds one and gives a `DiffusionModel`."""

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import FAMILIES
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.loading import default_device, from_pipeline, load_model
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.pipeline_model import PipelineModel
from diffusion_geodesics.models.pixel import PixelCodec
from diffusion_geodesics.models.sd import StableDiffusionModel

__all__ = [
    "FAMILIES",
    "DiffusionModel",
    "ModelError",
    "ModelFamily",
    "PipelineModel",
    "PixelCodec",
    "StableDiffusionModel",
    "default_device",
    "from_pipeline",
    "load_model",
]
