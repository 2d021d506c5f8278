"""Pretrained models: `load_model` finds one and gives a `DiffusionModel`."""

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import FAMILIES
from diffusion_geodesics.models.family import ModelFamily
from diffusion_geodesics.models.function import FunctionModel, from_denoiser, from_score
from diffusion_geodesics.models.loading import default_device, from_pipeline, load_model
from diffusion_geodesics.models.local import LocalModel, local_models
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.pipeline_model import PipelineModel
from diffusion_geodesics.models.pixel import PixelCodec
from diffusion_geodesics.models.sd import StableDiffusionModel
from diffusion_geodesics.models.sdxl import StableDiffusionXLModel

__all__ = [
    "FAMILIES",
    "DiffusionModel",
    "FunctionModel",
    "LocalModel",
    "ModelError",
    "ModelFamily",
    "PipelineModel",
    "PixelCodec",
    "StableDiffusionModel",
    "StableDiffusionXLModel",
    "default_device",
    "from_denoiser",
    "from_pipeline",
    "from_score",
    "load_model",
    "local_models",
]
