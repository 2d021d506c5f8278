"""The codec of models that work on pixels themselves."""

from dataclasses import dataclass
from typing import final

import torch

from diffusion_geodesics.diffusion import Codec, Images, Latents
from diffusion_geodesics.models.vae import check_images, check_latents


@final
@dataclass(frozen=True)
class PixelCodec(Codec):
    """Pixels in [0, 1] as coordinates in [-1, 1]; no network, nothing lost.

    With 1 channel, for a grey model, images are averaged over their colours on the way in and
    repeated on the way out. Precision follows the input. `ValueError` for other channels than 1 or
    3, and a size below 1.
    """

    height: int
    width: int
    channels: int
    device: torch.device

    def __post_init__(self) -> None:
        if self.channels not in (1, 3) or self.height < 1 or self.width < 1:
            raise ValueError(
                f"got pixels of {self.channels} channels and {self.height}x{self.width}; expected "
                "1 or 3 channels and a positive size"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (3, self.height, self.width)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return (self.channels, self.height, self.width)

    def encode(self, images: Images) -> Latents:
        """2 x - 1, flat; `ValueError` for another size or range."""
        check_images(images, self.image_shape)
        grey = images.mean(dim=1, keepdim=True) if self.channels == 1 else images
        return (2.0 * grey - 1.0).flatten(1).to(self.device)

    def decode(self, latents: Latents) -> Images:
        """(x + 1) / 2, clamped to [0, 1]; `ValueError` for another size."""
        check_latents(latents, self.latent_shape)
        pixels = latents.to(self.device).unflatten(1, self.latent_shape)
        return (0.5 + 0.5 * pixels).clamp(0.0, 1.0).expand(-1, 3, -1, -1).clone()
