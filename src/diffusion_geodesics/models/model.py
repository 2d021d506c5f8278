"""What every model family offers to the apps."""

from abc import ABC, abstractmethod

import torch

from diffusion_geodesics.diffusion import Codec, Condition, Denoiser

__all__ = ["DiffusionModel"]


class DiffusionModel(ABC):
    """A pretrained model, taken apart: codec, denoiser and conditions.

    A family subclasses this once and is final. What depends on the size of the images, the codec
    and the denoiser, is made for a size.

    - `id`: the name it was asked for by.
    """

    id: str

    @property
    def caveat(self) -> str:
        """What the score is, in a sentence, where it is that of no density; else empty."""
        return ""

    @property
    @abstractmethod
    def hash(self) -> str:
        """SHA-256 over the weights, 64 hexadecimal digits, worked out when first asked for."""

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
        """The codec for images of a size; `ValueError` for a size that the model does not take."""

    @abstractmethod
    def denoiser(self, height: int, width: int) -> Denoiser:
        """The denoiser for latents of images of a size; errors as `codec`."""

    @abstractmethod
    def encode_prompt(self, text: str) -> Condition:
        """The condition of a prompt, one row; `""` is the null condition.

        Raises `ModelError` for a prompt that the model cannot take.
        """
