"""The interface of every model: codec, denoiser and conditions."""

import os
from abc import ABC, abstractmethod
from functools import cached_property
from typing import final

import torch

from diffusion_geodesics.diffusion import Codec, Condition, Denoiser
from diffusion_geodesics.models.info import ModelInfo


class DiffusionModel(ABC):
    """A pretrained model, taken apart: codec, denoiser and conditions.

    Codec and denoiser depend on the size of the images and are made for a size. Threads may share a
    model: evaluations of the same network wait for each other where they would interfere.

    Args:
        id: the name it was asked for by.
        notes: what must be known about how it was loaded, a sentence each, such as a LoRA file
            that was found and not applied.
    """

    id: str
    notes: tuple[str, ...] = ()

    @property
    @final
    def info(self) -> ModelInfo:
        """The model, for the record. Cost: the first time, that of :attr:`hash`."""
        return ModelInfo.of(self)

    @property
    def caveat(self) -> str:
        """What the score is, in a sentence, where it is the score of no density; else empty."""
        return ""

    @cached_property
    def hash(self) -> str:
        """SHA-256 over the weights, 64 hexadecimal digits, computed when first asked for."""
        return self._weights_hash()

    @abstractmethod
    def _weights_hash(self) -> str: ...

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the networks run."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """The denoiser's precision; geometry stays in float32 or float64."""

    @property
    @abstractmethod
    def native_size(self) -> int:
        """The edge, in pixels, of the square images that the model was trained on."""

    @property
    @abstractmethod
    def size_multiple(self) -> int:
        """Heights and widths must be multiples of this."""

    @abstractmethod
    def codec(self, height: int, width: int) -> Codec:
        """The codec for images of a size in pixels; `ValueError` for one that the model does not
        take."""

    @abstractmethod
    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size in pixels; errors as :meth:`codec`."""

    @abstractmethod
    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; ``""`` is the null condition.

        Text beyond the encoders' lengths is cut off; see :meth:`prompt_notes`. `ModelError` for a
        prompt that the model cannot take, such as one of which its tokenizer knows nothing.
        """

    def prompt_notes(self, text: str) -> tuple[str, ...]:
        """What of a prompt the model cannot read, a sentence each: the number of tokens that are
        cut off because the text encoder reads no more, and of those that the tokenizer does not
        know.
        """
        return ()


def as_model(given: object) -> DiffusionModel:
    """``given`` itself if it is a `DiffusionModel`; else `ValueError`, saying how to make one of
    it."""
    if isinstance(given, DiffusionModel):
        return given
    kinds = [kind.__name__ for kind in type(given).__mro__]
    got = f"a {kinds[0]}"
    if isinstance(given, str | os.PathLike):
        got = f"the name {os.fspath(given)!r}"
        advice = f"load it first: load_model({os.fspath(given)!r})"
    elif "DiffusionPipeline" in kinds:
        advice = "wrap it: from_pipeline(pipeline)"
    elif isinstance(given, torch.nn.Module) or callable(given):
        advice = "wrap it: from_denoiser(function, shape) or from_score(function, shape)"
    else:
        advice = "make one with load_model, from_pipeline, from_denoiser or from_score"
    raise ValueError(f"got {got} where a model is expected; {advice}")
