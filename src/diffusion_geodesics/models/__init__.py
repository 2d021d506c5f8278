"""Pretrained models: `load_model` finds one, `StableDiffusionModel` is what it gives."""

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.loading import default_device, load_model
from diffusion_geodesics.models.sd import StableDiffusionModel

__all__ = ["ModelError", "StableDiffusionModel", "default_device", "load_model"]
