"""The embedded model as a `DiffusionModel`."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from diffusion_geodesics.diffusion import Condition, Denoiser
from diffusion_geodesics.models.embedded_networks.autoencoder import Autoencoder
from diffusion_geodesics.models.embedded_networks.unet import UNet
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import STABLE_DIFFUSION
from diffusion_geodesics.models.folders import EMBEDDED, weight_files
from diffusion_geodesics.models.hashing import hash_files
from diffusion_geodesics.models.locks import exclusive
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.opening import load_network
from diffusion_geodesics.models.pipeline_model import as_condition, check_size
from diffusion_geodesics.models.pipeline_network import UNetNetwork
from diffusion_geodesics.models.quiet import quiet
from diffusion_geodesics.models.schedulers import (
    PREDICTIONS,
    discrete_schedule,
    scaled_linear_alphas,
)
from diffusion_geodesics.models.text import (
    check_characters,
    check_known,
    check_tokenizer,
    tokenizer_notes,
)
from diffusion_geodesics.models.vae import VAECodec, vae_factor

Part = TypeVar("Part", bound=nn.Module)

EMPTY_PROMPT = "empty_prompt.safetensors"
"""The text encoder's hidden states of "", one tensor for each precision, named by it."""


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
        """As for every model. The empty prompt's embedding is read from the package; the first
        other one costs seconds, since transformers is imported."""
        stored = None if text else self._stored()
        if stored is not None:
            return as_condition(stored.to(self.device))
        check_characters(text)
        with exclusive(self), quiet("transformers"), torch.inference_mode():
            tokenizer, encoder = self._text
            check_known([(tokenizer, encoder.config)], text)
            length = tokenizer.model_max_length
            fixed = {"padding": "max_length", "max_length": length, "truncation": True}
            tokens = tokenizer(text, return_tensors="pt", **fixed).input_ids
            states = encoder(tokens.to(self.device))[0]
        return as_condition(states)

    def prompt_notes(self, text: str) -> tuple[str, ...]:
        if not text:
            return ()
        check_characters(text)
        with exclusive(self), quiet("transformers"):
            tokenizer, _ = self._text
            return tokenizer_notes(tokenizer, text, tokenizer.model_max_length, "tokenizer")

    def _stored(self) -> Tensor | None:
        try:
            stored = load_file(self.folder / EMPTY_PROMPT)
        except (OSError, SafetensorError):
            return None
        return stored.get(str(self.dtype).removeprefix("torch."))

    @cached_property
    def _text(self) -> tuple[Any, Any]:
        """Tokenizer and text encoder."""
        from transformers.models.clip.modeling_clip import CLIPTextModel
        from transformers.models.clip.tokenization_clip import CLIPTokenizer

        encoder = load_network(CLIPTextModel, self.folder, "text_encoder", self.dtype, self.id)
        try:
            tokenizer = CLIPTokenizer.from_pretrained(str(self.folder / "tokenizer"))
        except (OSError, ValueError) as error:
            raise ModelError(
                "the tokenizer of the embedded model is damaged; reinstall the package"
            ) from error
        (reader,) = STABLE_DIFFUSION.readers
        check_tokenizer(tokenizer, encoder.config, reader)
        return tokenizer, encoder.to(self.device)

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
