"""Prompts of the embedded model: the stored empty one, and transformers' encoder for all others."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import STABLE_DIFFUSION
from diffusion_geodesics.models.locks import exclusive
from diffusion_geodesics.models.networks import load_network
from diffusion_geodesics.models.quiet import quiet
from diffusion_geodesics.models.text import (
    check_characters,
    check_known,
    check_tokenizer,
    tokenizer_notes,
)

EMPTY_PROMPT = "empty_prompt.safetensors"
"""The text encoder's hidden states of "", one tensor for each precision, named by it."""


@final
@dataclass(frozen=True, eq=False)
class PromptEncoder:
    """A CLIP tokenizer and text encoder that are loaded when a prompt is first encoded."""

    folder: Path
    device: torch.device
    dtype: torch.dtype

    def encode(self, text: str) -> Float[Tensor, "1 tokens width"]:
        """The hidden states of a prompt; `ModelError` if the tokenizer knows nothing of it.

        Those of ``""`` are read from the package; where they are missing, the text encoder computes
        them like any other's.
        """
        stored = None if text else self._stored()
        if stored is not None:
            return stored.to(self.device)
        check_characters(text)
        with exclusive(self), quiet("transformers"), torch.inference_mode():
            tokenizer, encoder = self._parts
            check_known([(tokenizer, encoder.config)], text)
            tokens = tokenizer(
                text,
                padding="max_length",
                max_length=tokenizer.model_max_length,
                truncation=True,
                return_tensors="pt",
            )
            return encoder(tokens.input_ids.to(self.device))[0]

    def notes(self, text: str) -> tuple[str, ...]:
        """What the tokenizer cuts off or does not know of a prompt, a sentence each."""
        if not text:
            return ()
        check_characters(text)
        with exclusive(self), quiet("transformers"):
            tokenizer, _ = self._parts
            return tokenizer_notes(tokenizer, text, tokenizer.model_max_length, "tokenizer")

    def _stored(self) -> Tensor | None:
        try:
            stored = load_file(self.folder / EMPTY_PROMPT)
        except (OSError, SafetensorError):
            return None
        return stored.get(str(self.dtype).removeprefix("torch."))

    @cached_property
    def _parts(self) -> tuple[Any, Any]:
        from transformers.models.clip.modeling_clip import CLIPTextModel
        from transformers.models.clip.tokenization_clip import CLIPTokenizer

        encoder = load_network(CLIPTextModel, self.folder, "text_encoder", self.dtype, "embedded")
        try:
            tokenizer = CLIPTokenizer.from_pretrained(str(self.folder / "tokenizer"))
        except (OSError, ValueError) as error:
            raise ModelError(
                "the tokenizer of the embedded model is damaged; reinstall the package"
            ) from error
        (reader,) = STABLE_DIFFUSION.readers
        check_tokenizer(tokenizer, encoder.config, reader)
        return tokenizer, encoder.to(self.device)
