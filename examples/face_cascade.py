"""Faces of 40x40 pixels enlarged to 320x320 by a cascade that others trained, as a codec of images.

An image is encoded as its 8x8 block means, which are exact. It is decoded in three steps, each of
which doubles the edge: a Haar transform splits an image into block means ("low") and three bands of
detail,

    [low + H + V + D, low + H - V - D]
    [low - H + V - D, low - H - V + D],

and a network per step, which knows the score of the bands given the low band, samples them
(LabForComputationalVision/local-probability-models-of-images, MIT). Whatever it samples, encoding
gives the block means back, except where pixels outside [0, 1] are clipped.

The detail is invented, not recovered. All images get the same noise, so that frames of a film that
differ little get detail that differs little.

References:
    Kadkhodaie et al., Learning multi-scale local conditional probability models of images, ICLR
    2023.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, pixel_shuffle

from diffusion_geodesics.diffusion import Codec

SIDE, LARGE = 40, 320
DETAILS = tuple(f"weights/lpm_celeba320_detail{k}_rf13.safetensors" for k in (2, 1, 0))
"""Weights of the steps 40 to 80, 80 to 160 and 160 to 320."""
SIGMAS = (1.0, 0.01)
"""Noise of the bands at the first and at the last step."""
REDRAWN = 0.5
"""Share of the noise's variance that is drawn anew at every step."""


class ResidualNetwork(torch.nn.Module):
    """The noise in an image in [0, 1], without biases and without being told σ."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        weights = load_file(file)
        self.layers = sum(name.startswith("conv_layers.") for name in weights)
        for name, tensor in weights.items():
            self.register_buffer(name.replace(".", "_"), tensor)

    def outputs(self, y: Tensor) -> list[Tensor]:
        """Of all layers; the last is the noise."""
        found, h = [], y
        for layer in range(self.layers):
            kernel = self.get_buffer(f"conv_layers_{layer}_weight")
            h = conv2d(h, kernel, padding=kernel.shape[-1] // 2)
            if 0 < layer < self.layers - 1:
                gain = self.get_buffer(f"BN_layers_{layer - 1}_gammas")
                h = (h * gain / self.get_buffer(f"BN_layers_{layer - 1}_running_sd")).relu()
            found.append(h)
        return found


class CascadeCodec(Codec):
    """Grey images of 320x320 as their 8x8 block means, and back by sampling.

    Cost of decoding: ``steps`` evaluations of three networks an image.

    Args:
        folder: of the weights, as `DETAILS` names them.
        steps: of sampling, at each of the three sizes.
        seed: of the noise, the same for all images.
    """

    def __init__(self, folder: Path, steps: int = 20, seed: int = 0) -> None:
        self.networks = [ResidualNetwork(folder / name).eval() for name in DETAILS]
        self.steps, self.seed = steps, seed

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return (3, LARGE, LARGE)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return (1, SIDE, SIDE)

    def encode(self, images: Tensor) -> Tensor:
        """Block means of the mean over colours, in [-1, 1], flat."""
        grey = avg_pool2d(images.mean(1, keepdim=True), LARGE // SIDE)
        return (2 * grey - 1).flatten(1)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Sampled images whose block means are (x + 1) / 2, clipped to [0, 1]."""
        image = (latents.float().unflatten(1, self.latent_shape) + 1) / 2
        for number, network in enumerate(self.networks):
            image = joined(image, self._bands(network, image, self.seed + number))
        return image.clamp(0, 1).expand(-1, 3, -1, -1).to(latents.dtype)

    def _bands(self, network: ResidualNetwork, low: Tensor, seed: int) -> Tensor:
        """H, V and D given the low band, one image at a time to save memory."""
        first, last = torch.tensor(SIGMAS).log10().tolist()
        sigmas = torch.logspace(first, last, self.steps).tolist()
        found = []
        for one in low.split(1):
            generator = torch.Generator().manual_seed(seed)
            bands = sigmas[0] * self._noise(one, generator)
            for sigma, smaller in zip(sigmas, [*sigmas[1:], 0.0], strict=True):
                noise = network.outputs(torch.cat([one, bands], 1))[-1]
                kept = (1 - REDRAWN) ** 0.5 * noise / sigma
                drawn = REDRAWN**0.5 * self._noise(one, generator)
                bands = bands - noise + smaller * (kept + drawn)
            found.append(bands)
        return torch.cat(found)

    def _noise(self, low: Tensor, generator: torch.Generator) -> Tensor:
        return torch.randn((1, 3, *low.shape[2:]), generator=generator).to(low)


def joined(low: Tensor, bands: Tensor) -> Tensor:
    """The image of twice the edge, by the inverse of the Haar transform."""
    h, v, d = bands.split(1, 1)
    pixels = (low + h + v + d, low + h - v - d, low - h + v - d, low - h - v + d)
    return pixel_shuffle(torch.cat(pixels, 1), 2)
