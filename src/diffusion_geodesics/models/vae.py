"""The autoencoder of a latent diffusion model as a codec."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import ChunkedBatches, Codec, Images, Latents, NonFiniteError
from diffusion_geodesics.diffusion.memory import free_bytes
from diffusion_geodesics.models.locks import exclusive


@final
@dataclass(frozen=True, eq=False)
class VAECodec(Codec):
    r"""An autoencoder as a codec, :math:`x_0 = (\mu - m)\, k` with the encoder's mean :math:`\mu`.

    :math:`\mu` is never a sample; :math:`m` and :math:`k` come from the autoencoder's configuration
    (``shift_factor``, ``scaling_factor``, or ``latents_mean`` and ``latents_std`` for each
    channel). Images have values in [0, 1] here and in [-1, 1] in there. ``vae`` is an
    `AutoencoderKL`, `AutoencoderTiny` or embedded `Autoencoder` in evaluation mode; slicing and
    tiling set on it act, and tiling is also used, and reset after, where one image would not fit.
    ``upcast`` runs it in float32 meanwhile. Results are float32 (float64 for a float64
    autoencoder).
    """

    vae: Any
    height: int
    width: int
    device: torch.device
    upcast: bool = False

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (3, self.height, self.width)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        factor = vae_factor(self.vae)
        return (self.vae.config["latent_channels"], self.height // factor, self.width // factor)

    def encode(self, images: Images) -> Latents:
        """Images in [0, 1] as latents; `ValueError` for another size or range, `NonFiniteError` for
        NaN or infinity from the autoencoder."""
        check_images(images, self.image_shape)
        shift, scale = self._normalisation

        @torch.inference_mode()
        def mean(piece: slice) -> Tensor:
            pixels = (2.0 * images[piece] - 1.0).to(self.vae.dtype).to(self.device)
            coded = self.vae.encode(pixels, return_dict=False)[0]
            latent = coded if isinstance(coded, Tensor) else coded.mode()
            return ((latent.to(self._result) - shift) * scale).flatten(1)

        return self._join(mean, len(images), (math.prod(self.latent_shape),), "encoder")

    def decode(self, latents: Latents) -> Images:
        """Latents as images, clamped to [0, 1]; errors as `encode`."""
        check_latents(latents, self.latent_shape)
        shift, scale = self._normalisation

        @torch.inference_mode()
        def picture(piece: slice) -> Tensor:
            latent = latents[piece].to(self._result).to(self.device).unflatten(1, self.latent_shape)
            scaled = (latent / scale + shift).to(self.vae.dtype)
            decoded = self.vae.decode(scaled, return_dict=False)[0]
            return 0.5 + 0.5 * decoded.to(self._result)

        return self._join(picture, len(latents), self.image_shape, "decoder").clamp(0.0, 1.0)

    @property
    def _normalisation(self) -> tuple[Tensor, Tensor]:
        """m and k, for each channel or for all."""
        config = self.vae.config
        means, stds = config.get("latents_mean"), config.get("latents_std")
        scale, shift = config["scaling_factor"], config.get("shift_factor") or 0.0
        if scale is None:
            raise ValueError(
                "got an autoencoder without scaling_factor in its configuration; correct it, or "
                "its latents are not those that the network was trained on"
            )

        def tensor(value: Any) -> Tensor:
            return torch.tensor(value, dtype=self._result, device=self.device).view(-1, 1, 1)

        if means is None or stds is None:
            return tensor(shift), tensor(scale)
        return tensor(means), scale / tensor(stds)

    @property
    def _result(self) -> torch.dtype:
        return torch.float64 if self.vae.dtype == torch.float64 else torch.float32

    @property
    def _bytes_per_image(self) -> int:
        """The widest activations: first-block channels at full resolution, some dozen alive."""
        channels = self.vae.config["block_out_channels"][0]
        size = 4 if self.upcast else torch.finfo(self.vae.dtype).bits // 8
        return 16 * channels * self.height * self.width * size

    def _join(
        self, function: Callable[[slice], Tensor], count: int, shape: tuple[int, ...], part: str
    ) -> Tensor:
        tiled = self._bytes_per_image > 0.8 * free_bytes(self.device)
        batches = ChunkedBatches(self._bytes_per_image, self.device, max_rows=32)
        with exclusive(self.vae), _prepared(self.vae, self.upcast, tiled):
            pieces = batches.map(function, count)
        empty = torch.empty((0, *shape), device=self.device, dtype=self._result)
        value = torch.cat([empty, *pieces])
        if not bool(value.isfinite().all()):
            raise NonFiniteError(
                f"got NaN or infinity from the autoencoder's {part}; half precision may have "
                "overflowed: try dtype float32"
            )
        return value


@contextmanager
def _prepared(vae: Any, upcast: bool, tiled: bool) -> Iterator[None]:
    """Within, the autoencoder is in float32, or tiles. Half-precision weights survive it."""
    before, tile = vae.dtype, tiled and not getattr(vae, "use_tiling", True)
    try:
        if upcast:
            vae.to(torch.float32)
        if tile:
            vae.enable_tiling()
        yield
    finally:
        if tile:
            vae.disable_tiling()
        if upcast:
            vae.to(before)


def vae_factor(vae: Any) -> int:
    """How many times smaller than the image a latent is, along an edge."""
    return 2 ** (len(vae.config["block_out_channels"]) - 1)


def check_images(images: Tensor, shape: tuple[int, int, int]) -> None:
    """`ValueError` unless images have a shape and values in [0, 1]."""
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


def check_latents(latents: Tensor, shape: tuple[int, int, int]) -> None:
    """`ValueError` unless flat latents have a shape's number of coordinates."""
    if latents.shape[1] != math.prod(shape):
        raise ValueError(
            f"got latents of {latents.shape[1]} coordinates; this codec's have {math.prod(shape)}"
        )
