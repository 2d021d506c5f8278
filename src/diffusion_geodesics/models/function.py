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
from diffusion_geodesics.models.array_level import ArrayLevel
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
    shape: tuple[int, ...],
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
        denoise: takes points (rows, *shape) and the noise :math:`\sigma` as a float, and gives
            :math:`E[x_0 \mid x_0 + \sigma\varepsilon = x]` of the same shape. A `torch.nn.Module`
            will do; it should be in evaluation mode. Called once for all rows that fit into memory.
        shape: of a point. (1 or 3, height, width) are images, whose values run from -1 to 1, unless
            a codec says otherwise. Any other shape, such as (dim,), (channels, length) or
            (channels, depth, height, width), makes a model of arrays without images; it is used
            through `FunctionModel.at`.
        schedule: `EDMSchedule()` by default, :math:`x = x_0 + \sigma\varepsilon` with
            :math:`\sigma` from 0.002 to 80. With another one the second argument of ``denoise`` is
            its time step.
        prediction: `SamplePrediction()` by default; for example `EpsilonPrediction()` for a
            function that gives :math:`\varepsilon`.
        codec: `PixelCodec` by default for images; give your own for latents of images.
        embed: gives the embedding of a prompt or of a class's name, and for ``""`` that of no
            prompt; it raises `ValueError` for a text that it does not know. ``denoise`` then takes
            a third argument, the embeddings of all points with rows in front. On a path they are
            mixtures of both ends'. Without it there are no prompts.
        flat: call ``denoise`` with points of shape (rows, dim) instead.
        id: a name for records and caches; the function's own by default.
        features: called as ``denoise`` is, gives a tuple of inner features (rows, channels,
            height, width), coarse to fine, on grids of any size that cover the image, by which
            points of two images that show the same thing are found. Without it there are none.

    Raises:
        ValueError: for an empty shape, or one that the codec does not have.
    """
    shape = _checked(shape)
    if codec is None and len(shape) == 3 and shape[0] in (1, 3):
        codec = PixelCodec(shape[1], shape[2], shape[0], _device_of(denoise))
    if codec is not None and tuple(codec.latent_shape) != shape:
        raise ValueError(
            f"got a codec of latents {tuple(codec.latent_shape)} for points of {shape}; they must "
            "be the same"
        )
    return FunctionModel(
        denoise,
        shape,
        codec,
        schedule or EDMSchedule(),
        prediction or SamplePrediction(),
        embed,
        flat,
        id or getattr(denoise, "__qualname__", type(denoise).__qualname__),
        features,
    )


def from_score(
    score: NoiseFunction,
    shape: tuple[int, ...],
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
        shape,
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
    Without a codec it is a model of arrays.
    """

    function: NoiseFunction
    shape: tuple[int, ...]
    images: Codec | None
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
        """The longer edge of the images; errors as `codec`."""
        return max(self._images.image_shape[1:])

    @property
    def size_multiple(self) -> int:
        """1: there is only the one size."""
        return 1

    @property
    def _images(self) -> Codec:
        if self.images is None:
            raise ModelError(
                f"{self.id} is a model of arrays of shape {self.shape}, which are no images: use "
                "model.at(level), or give from_denoiser a codec of images"
            )
        return self.images

    def codec(self, height: int, width: int) -> Codec:
        """The codec.

        Raises:
            ModelError: for a model of arrays.
            ValueError: for another size than its own.
        """
        known = self._images
        if (height, width) != tuple(known.image_shape[1:]):
            own = "x".join(map(str, known.image_shape[1:]))
            raise ValueError(f"got images of {height}x{width}; {self.id} is made for {own}")
        return known

    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser; errors as `codec`."""
        self.codec(height, width)
        return self._denoiser

    @property
    def _denoiser(self) -> Denoiser:
        network = FunctionNetwork(
            self.function,
            self.shape,
            self.embed is not None,
            self.flat,
            self.device,
            self.features,
            self.lock,
        )
        return Denoiser(network, self.schedule, self.prediction)

    def at(self, level: float, *, steps: int = 25, prompt: str = "") -> ArrayLevel:
        """The model at a noise level, for arrays of its shape: scores, and the way there and back.

        Args:
            level: fraction of the steps, in (0, 1].
            steps: sampling steps from pure noise to clean arrays.
            prompt: what the arrays show.

        Raises:
            ModelError: for a prompt that the model does not know.
            ValueError: for a level out of range.
        """
        return ArrayLevel(self._denoiser, self.shape, self.encode_prompt(prompt), steps, level)

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


def _checked(shape: tuple[int, ...]) -> tuple[int, ...]:
    known = tuple(shape) if isinstance(shape, tuple | list | torch.Size) else (shape,)
    if not known or any(not isinstance(n, int) or n < 1 for n in known):
        raise ValueError(
            f"got the shape {shape!r} of a point; expected lengths of its axes such as (64,) or "
            "(3, 32, 32)"
        )
    return known


def _device_of(function: NoiseFunction) -> torch.device:
    if isinstance(function, torch.nn.Module):
        return next((p.device for p in function.parameters()), torch.device("cpu"))
    return torch.device("cpu")
