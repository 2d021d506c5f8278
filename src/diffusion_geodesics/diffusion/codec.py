"""Codecs: pixels to flat latents and back."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.runtime.cost import Counts, Meter

Images = Float[Tensor, "images 3 height width"]
"""RGB images with values in [0, 1]."""
Latents = Float[Tensor, "images dim"]
"""Flat clean latents, one an image."""


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
    def encode(self, images: Images) -> Latents:
        """Images with values in [0, 1] as latents, deterministically."""

    @abstractmethod
    def decode(self, latents: Latents) -> Images:
        """Latents as images, clamped to [0, 1]."""


@final
@dataclass(frozen=True)
class MeteredCodec(Codec):
    """A codec that counts the images it encodes and decodes on a meter."""

    codec: Codec
    meter: Meter

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.codec.image_shape

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return self.codec.latent_shape

    def encode(self, images: Images) -> Latents:
        self.meter.add(Counts(encoded=len(images)))
        return self.codec.encode(images)

    def decode(self, latents: Latents) -> Images:
        self.meter.add(Counts(decoded=len(latents)))
        return self.codec.decode(latents)
