"""A model given by a function: `denoise(x, sigma)`, `score(x, sigma)`, or whatever it predicts."""

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from threading import RLock
from typing import Any, final

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import (
    Codec,
    Condition,
    Denoiser,
    EDMSchedule,
    NoiseSchedule,
    Prediction,
    SamplePrediction,
    ScorePrediction,
)
from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.function_network import (
    FeatureFunction,
    FunctionNetwork,
    NoiseFunction,
)
from diffusion_geodesics.models.hashing import hash_tensors
from diffusion_geodesics.models.model import DiffusionModel
from diffusion_geodesics.models.pixel import PixelCodec

__all__ = ["FunctionModel", "PromptFunction", "from_denoiser", "from_score"]

PromptFunction = Callable[[str], Tensor]
"""Text -> its embedding, of any shape but the same for all; "" is no prompt."""


def from_denoiser(
    denoise: NoiseFunction,
    image_shape: tuple[int, int, int],
    *,
    schedule: NoiseSchedule | None = None,
    prediction: Prediction | None = None,
    codec: Codec | None = None,
    embed: PromptFunction | None = None,
    flat: bool = False,
    id: str | None = None,
    features: FeatureFunction | None = None,
) -> "FunctionModel":
    r"""A model from a function ``denoise(x, sigma)``, the mean of the clean data given :math:`x`.

    Args:
        denoise: takes points (rows, channels, height, width), of ``image_shape`` in each row, and
            the noise :math:`\sigma` as a float, and gives
            :math:`E[x_0 \mid x_0 + \sigma\varepsilon = x]` of the same shape. A `torch.nn.Module`
            will do; it should be in evaluation mode. Called once for all rows that fit into memory.
        image_shape: (channels, height, width) of a point; values of images run from -1 to 1.
        schedule: `EDMSchedule()` by default, :math:`x = x_0 + \sigma\varepsilon` with
            :math:`\sigma` from 0.002 to 80. With another one the second argument of ``denoise`` is
            its time step.
        prediction: `SamplePrediction()` by default; for example `EpsilonPrediction()` for a
            function that gives :math:`\varepsilon`.
        codec: `PixelCodec` by default, which takes 1 or 3 channels; give your own for latents.
        embed: gives the embedding of a prompt or of a class's name, and for ``""`` that of no
            prompt; it raises `ValueError` for a text that it does not know. ``denoise`` then takes
            a third argument, the embeddings of all points with rows in front. On a path they are
            mixtures of both ends'. Without it there are no prompts.
        flat: call ``denoise`` with points of shape (rows, channels * height * width) instead.
        id: a name for records and caches; the function's own by default.
        features: called as ``denoise`` is, gives a tuple of inner features (rows, channels,
            height, width), coarse to fine, on grids of any size that cover the image, by which
            points of two images that show the same thing are found. Without it there are none.

    Raises:
        ValueError: for a shape that no codec fits.
    """
    model_codec = codec or PixelCodec(*image_shape[1:], image_shape[0], _device_of(denoise))
    if tuple(model_codec.latent_shape) != tuple(image_shape):
        raise ValueError(
            f"got a codec of latents {tuple(model_codec.latent_shape)} for points of "
            f"{tuple(image_shape)}; they must be the same"
        )
    return FunctionModel(
        denoise,
        model_codec,
        schedule or EDMSchedule(),
        prediction or SamplePrediction(),
        embed,
        flat,
        id or getattr(denoise, "__qualname__", type(denoise).__qualname__),
        features,
    )


def from_score(
    score: NoiseFunction,
    image_shape: tuple[int, int, int],
    *,
    schedule: NoiseSchedule | None = None,
    codec: Codec | None = None,
    embed: PromptFunction | None = None,
    flat: bool = False,
    id: str | None = None,
    features: FeatureFunction | None = None,
) -> "FunctionModel":
    r"""A model from a function ``score(x, sigma)`` :math:`= \nabla \log p_\sigma(x)`.

    All else as in `from_denoiser`.
    """
    return from_denoiser(
        score,
        image_shape,
        schedule=schedule,
        prediction=ScorePrediction(),
        codec=codec,
        embed=embed,
        flat=flat,
        id=id,
        features=features,
    )


@final
@dataclass(frozen=True, eq=False)
class FunctionModel(DiffusionModel):
    """A function with its codec, schedule and prediction type; see `from_denoiser`.

    It has one size, that of its codec, and only the null condition unless it can embed others.
    """

    function: NoiseFunction
    pixels: Codec
    schedule: NoiseSchedule
    prediction: Prediction
    embed: PromptFunction | None
    flat: bool
    id: str
    features: FeatureFunction | None = None
    lock: AbstractContextManager[Any] = field(default_factory=RLock, repr=False)

    @property
    def hash(self) -> str:
        """SHA-256 over the weights of a module; over the name of a plain function."""
        return self._hash

    @cached_property
    def _hash(self) -> str:
        if isinstance(self.function, torch.nn.Module):
            return hash_tensors([self.function])
        return hashlib.sha256(self.id.encode()).hexdigest()

    @property
    def device(self) -> torch.device:
        """Where the function's own parameters are; the CPU for one without."""
        return _device_of(self.function)

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the function's own parameters; float32 for one without."""
        if isinstance(self.function, torch.nn.Module):
            return next((p.dtype for p in self.function.parameters()), torch.float32)
        return torch.float32

    @property
    def native_size(self) -> int:
        """The longer edge of the images."""
        return max(self.pixels.image_shape[1:])

    @property
    def size_multiple(self) -> int:
        """1: there is only the one size."""
        return 1

    def codec(self, height: int, width: int) -> Codec:
        """The codec.

        Raises:
            ValueError: for another size than its own.
        """
        if (height, width) != tuple(self.pixels.image_shape[1:]):
            own = "x".join(map(str, self.pixels.image_shape[1:]))
            raise ValueError(f"got images of {height}x{width}; {self.id} is made for {own}")
        return self.pixels

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser; errors as `codec`."""
        shape = self.codec(height, width).latent_shape
        conditional = self.embed is not None
        network = FunctionNetwork(
            self.function, shape, conditional, self.flat, self.device, self.features, self.lock
        )
        return Denoiser(network, self.schedule, self.prediction)

    def encode_prompt(self, text: str) -> Condition:
        """The embedding of a text, one row.

        Raises:
            ModelError: for a text that the model does not know, which is any but ``""`` where it
                takes no prompts.
        """
        if self.embed is not None:
            try:
                return Condition((self.embed(text)[None].to(self.device),))
            except ValueError as error:
                raise ModelError(f"{self.id} does not take the prompt {text!r}: {error}") from error
        if text:
            raise ModelError(f"got prompt {text!r}; {self.id} takes none: leave it empty")
        return Condition((torch.zeros(1, 1, device=self.device),))


def _device_of(function: NoiseFunction) -> torch.device:
    if isinstance(function, torch.nn.Module):
        return next((p.device for p in function.parameters()), torch.device("cpu"))
    return torch.device("cpu")
