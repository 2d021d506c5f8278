"""Codecs: pixels to flat latents and back."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

__all__ = ["Codec"]


class Codec(ABC):
    """Images of one size, and the flat clean latents that a denoiser works on."""

    @property
    @abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """(3, height, width)."""

    @property
    @abstractmethod
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of a latent; `dim` is their product."""

    @abstractmethod
    def encode(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images dim"]:
        """Images with values in [0, 1] as latents, deterministically."""

    @abstractmethod
    def decode(
        self, latents: Float[Tensor, "images dim"]
    ) -> Float[Tensor, "images 3 height width"]:
        """Latents as images, clamped to [0, 1]."""
