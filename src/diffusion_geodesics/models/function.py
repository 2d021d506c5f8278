"""A model given by a function: `denoise(x, sigma)`, `score(x, sigma)`, or whatever it predicts."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

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
    network = FunctionNetwork(denoise, shape, embed is not None, flat, features)
    if codec is None and len(shape) == 3 and shape[0] in (1, 3):
        codec = PixelCodec(shape[1], shape[2], shape[0], network.device)
    if codec is not None and tuple(codec.latent_shape) != shape:
        raise ValueError(
            f"got a codec of latents {tuple(codec.latent_shape)} for points of {shape}; they must "
            "be the same"
        )
    parts = Denoiser(network, schedule or EDMSchedule(), prediction or SamplePrediction())
    name = id or getattr(denoise, "__qualname__", type(denoise).__qualname__)
    return FunctionModel(network, parts, codec, embed, name)


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

    network: FunctionNetwork
    parts: Denoiser
    images: Codec | None
    embed: PromptFunction | None
    id: str

    def _weights_hash(self) -> str:
        if isinstance(self.network.function, torch.nn.Module):
            return hash_tensors([self.network.function])
        return hashlib.sha256(self.id.encode()).hexdigest()

    @property
    def device(self) -> torch.device:
        return self.network.device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the function's own parameters; float32 for one without."""
        return next((p.dtype for p in self.network.parameters), torch.float32)

    @property
    def native_size(self) -> int:
        """The longer edge of the images; errors as `codec`."""
        return max(self._images.image_shape[1:])

    @property
    def size_multiple(self) -> int:
        return 1

    @property
    def _images(self) -> Codec:
        if self.images is None:
            raise ModelError(
                f"{self.id} is a model of arrays of shape {self.network.latent_shape}, which are "
                "no images: use model.at(level), or give from_denoiser a codec of images"
            )
        return self.images

    def codec(self, height: int, width: int) -> Codec:
        """The codec; `ModelError` for a model of arrays, `ValueError` for another size than its
        own."""
        known = self._images
        if (height, width) != tuple(known.image_shape[1:]):
            own = "x".join(map(str, known.image_shape[1:]))
            raise ValueError(f"got images of {height}x{width}; {self.id} is made for {own}")
        return known

    def denoiser(self, height: int, width: int) -> Denoiser:
        self.codec(height, width)
        return self.parts

    def at(self, level: float, *, steps: int = 25, prompt: str = "") -> ArrayLevel:
        """The model at a noise level, for arrays of its shape: scores, and the way there and back.

        Args:
            level: fraction of the steps, in (0, 1]; `ValueError` outside.
            steps: sampling steps from pure noise to clean arrays.
            prompt: what the arrays show; `ModelError` for one that the model does not know.
        """
        shape, condition = self.network.latent_shape, self.encode_prompt(prompt)
        return ArrayLevel(self.parts, shape, condition, steps, level)

    def encode_prompt(self, text: str) -> Condition:
        """The embedding of a text, one row; `ModelError` for one that the model does not know,
        which is any but ``""`` where it takes no prompts."""
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
