"""The autoencoder of a latent diffusion model as a codec."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, Codec, NonFiniteError

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

__all__ = ["VAECodec", "demand_images", "demand_latents", "vae_factor"]


@final
@dataclass(frozen=True, eq=False)
class VAECodec(Codec):
    r"""An `AutoencoderKL`: $x_0 = (\mu(\text{image}) - \text{shift}) \cdot \text{scale}$.

    The encoder's mean is taken, never a sample of it; scale and shift come from the
    autoencoder's configuration. Images have values in [0, 1] here and in [-1, 1] in there.

    - `vae`: the autoencoder, in evaluation mode.
    - `height`, `width`: of the images; both multiples of the autoencoder's factor.
    - `device`: where it runs. Results are float32 (float64 for a float64 autoencoder).
    """

    vae: "AutoencoderKL"
    height: int
    width: int
    device: torch.device

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(3, height, width)."""
        return (3, self.height, self.width)

    @property
    def factor(self) -> int:
        """Pixels along one edge of a latent's pixel."""
        return vae_factor(self.vae)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of a latent."""
        channels = self.vae.config["latent_channels"]
        return (channels, self.height // self.factor, self.width // self.factor)

    @property
    def dim(self) -> int:
        """Coordinates of a flat latent."""
        channels, height, width = self.latent_shape
        return channels * height * width

    def encode(self, images: Float[Tensor, "images 3 height width"]) -> Float[Tensor, "images dim"]:
        """Images with values in [0, 1] as latents; `ValueError` for another size or range."""
        demand_images(images, self.image_shape)
        config = self.vae.config
        shift = config.get("shift_factor") or 0.0

        @torch.inference_mode()
        def mean(piece: slice) -> Tensor:
            pixels = (2.0 * images[piece] - 1.0).to(self.vae.dtype).to(self.device)
            latent = self.vae.encode(pixels, return_dict=False)[0].mode()
            return ((latent.to(self._result) - shift) * config["scaling_factor"]).flatten(1)

        return self._join(mean, len(images), (self.dim,), "encoder")

    def decode(
        self, latents: Float[Tensor, "images dim"]
    ) -> Float[Tensor, "images 3 height width"]:
        """Latents as images, clamped to [0, 1]; `ValueError` for another size."""
        demand_latents(latents, self.latent_shape)
        config = self.vae.config
        shift = config.get("shift_factor") or 0.0

        @torch.inference_mode()
        def picture(piece: slice) -> Tensor:
            latent = latents[piece].to(self._result).to(self.device).unflatten(1, self.latent_shape)
            latent = (latent / config["scaling_factor"] + shift).to(self.vae.dtype)
            return 0.5 + 0.5 * self.vae.decode(latent, return_dict=False)[0].to(self._result)

        return self._join(picture, len(latents), self.image_shape, "decoder").clamp(0.0, 1.0)

    @property
    def _result(self) -> torch.dtype:
        return torch.float64 if self.vae.dtype == torch.float64 else torch.float32

    @property
    def _batches(self) -> ChunkedBatches:
        # The widest activations: first-block channels at full resolution, some dozen alive.
        channels = self.vae.config["block_out_channels"][0]
        size = torch.finfo(self.vae.dtype).bits // 8
        return ChunkedBatches(
            16 * channels * self.height * self.width * size, self.device, max_rows=32
        )

    def _join(
        self,
        function: Callable[[slice], Tensor],
        count: int,
        shape: tuple[int, ...],
        part: str,
    ) -> Tensor:
        pieces = self._batches.map(function, count)
        empty = torch.empty((0, *shape), device=self.device, dtype=self._result)
        value = torch.cat([empty, *pieces])
        if not bool(value.isfinite().all()):
            raise NonFiniteError(
                f"got NaN or infinity from the autoencoder's {part}; half precision may have "
                "overflowed: try --dtype float32 (dtype=torch.float32)"
            )
        return value


def vae_factor(vae: "AutoencoderKL") -> int:
    """How many times smaller than the image a latent is, along an edge."""
    return 2 ** (len(vae.config["block_out_channels"]) - 1)


def demand_images(images: Tensor, shape: tuple[int, int, int]) -> None:
    """That images have a shape and values in [0, 1]; `ValueError` otherwise."""
    if tuple(images.shape[1:]) != shape:
        raise ValueError(
            f"got images of shape {tuple(images.shape[1:])}; this codec was built for "
            f"{shape}: fit the images to it"
        )
    if len(images) and (float(images.min()) < -1e-3 or float(images.max()) > 1 + 1e-3):
        raise ValueError(
            f"got pixel values from {float(images.min()):.3g} to {float(images.max()):.3g}; "
            "expected [0, 1]"
        )


def demand_latents(latents: Tensor, shape: tuple[int, int, int]) -> None:
    """That flat latents have a shape's number of coordinates; `ValueError` otherwise."""
    if latents.shape[1] != math.prod(shape):
        raise ValueError(
            f"got latents of {latents.shape[1]} coordinates; this codec's have {math.prod(shape)}"
        )
