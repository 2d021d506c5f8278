"""The embedded model as a `DiffusionModel`."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from diffusion_geodesics.diffusion import Condition, Denoiser
from diffusion_geodesics.models.embedded_networks.autoencoder import Autoencoder
from diffusion_geodesics.models.embedded_networks.unet import UNet
from diffusion_geodesics.models.embedded_prompts import PromptEncoder
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.folders import EMBEDDED, weight_files
from diffusion_geodesics.models.hashing import hash_files
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.pipeline_model import as_condition, check_size
from diffusion_geodesics.models.pipeline_network import UNetNetwork
from diffusion_geodesics.models.schedulers import (
    PREDICTIONS,
    discrete_schedule,
    scaled_linear_alphas,
)
from diffusion_geodesics.models.vae import VAECodec, vae_factor

Part = TypeVar("Part", bound=nn.Module)


@final
@dataclass(frozen=True, eq=False)
class EmbeddedModel(DiffusionModel):
    """The Stable Diffusion pipeline inside this package, without diffusers, read
    from ``folder``."""

    unet: UNet
    autoencoder: Autoencoder
    folder: Path
    id: str = "embedded"

    @staticmethod
    def load(device: torch.device, dtype: torch.dtype, folder: Path = EMBEDDED) -> "EmbeddedModel":
        """Read the networks; the text encoder is read when a prompt is first encoded. `ModelError`
        if files are missing or damaged."""
        try:
            unet = _read(UNet, folder / "unet", device, dtype)
            autoencoder = _read(Autoencoder, folder / "vae", device, dtype)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise ModelError(
                f"the embedded model in {folder} is incomplete or damaged; reinstall the package"
            ) from error
        return EmbeddedModel(unet, autoencoder, folder)

    def _weights_hash(self) -> str:
        return hash_files(weight_files(self.folder))

    @property
    def device(self) -> torch.device:
        return self.unet.conv_in.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.unet.dtype

    @property
    def native_size(self) -> int:
        """128: the edge, in pixels, of the portraits that it was trained on."""
        return self.unet.config["sample_size"] * vae_factor(self.autoencoder)

    @property
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this: autoencoder times U-Net downsampling."""
        halvings = len(self.unet.config["block_out_channels"]) - 1
        return vae_factor(self.autoencoder) * 2**halvings

    def codec(self, height: int, width: int) -> VAECodec:
        check_size(height, width, self.size_multiple, self.id)
        return VAECodec(self.autoencoder, height, width, self.device)

    def denoiser(self, height: int, width: int) -> Denoiser:
        shape = self.codec(height, width).latent_shape
        config = self._scheduler
        schedule = discrete_schedule(config, scaled_linear_alphas(config))
        network = UNetNetwork(self.unet, shape, self.device)
        return Denoiser(network, schedule, PREDICTIONS[config["prediction_type"]])

    def encode_prompt(self, text: str) -> Condition:
        """As for every model. The first prompt but ``""`` costs seconds: transformers
        is imported."""
        return as_condition(self._prompts.encode(text))

    def prompt_notes(self, text: str) -> tuple[str, ...]:
        return self._prompts.notes(text)

    @cached_property
    def _prompts(self) -> PromptEncoder:
        return PromptEncoder(self.folder, self.device, self.dtype)

    @cached_property
    def _scheduler(self) -> dict[str, Any]:
        return _json(self.folder / "scheduler" / "scheduler_config.json")


def _read(kind: type[Part], folder: Path, device: torch.device, dtype: torch.dtype) -> Part:
    """A network without ever initialising its weights: shapes first, then the file's tensors."""
    with torch.device("meta"):
        network = kind(_json(folder / "config.json"))
    on_cpu = device.type == "cpu"  # where convolutions are faster with this order
    images = torch.channels_last if on_cpu else torch.contiguous_format
    weights = {
        name: weight.to(dtype, memory_format=images if weight.ndim == 4 else torch.preserve_format)
        for name, weight in load_file(folder / "diffusion_pytorch_model.safetensors").items()
    }
    network.load_state_dict(weights, strict=True, assign=True)
    return network.to(device).eval().requires_grad_(False)


def _json(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))
