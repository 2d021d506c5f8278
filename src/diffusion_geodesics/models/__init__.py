"""Pretrained models: `load_model` finds one and gives a `DiffusionModel`."""

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.loading import default_device, load_model
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.sd import StableDiffusionModel

__all__ = ["DiffusionModel", "ModelError", "StableDiffusionModel", "default_device", "load_model"]
