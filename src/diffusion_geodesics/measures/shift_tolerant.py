"""ST-LPIPS: a learned perceptual distance whose weights come inside a package.

The trunk is AlexNet with its strides blurred away, so that a shift by a pixel counts for little.
Its figures are not those of LPIPS. Only the file of weights is read; the package is not imported.

References:
    Ghildyal and Liu, Shift-tolerant Perceptual Similarity Metric, ECCV 2022 (code and weights under
    the BSD-2 licence).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import conv2d, max_pool2d, normalize, pad, relu

from diffusion_geodesics.measures.measure import Images
from diffusion_geodesics.measures.perceptual import PerceptualDistance

FILES = ("alex_shift_tolerant.pth", "stlpips_alex.safetensors")
INSTALL = "install the package stlpips-pytorch, without its dependencies"
CHUNK = 8


@final
@dataclass(frozen=True)
class ShiftTolerantLPIPS(PerceptualDistance):
    """ST-LPIPS with AlexNet."""

    weights: Mapping[str, Tensor]  # by the names of the published file

    @property
    def name(self) -> str:
        return "ST-LPIPS (alex)"

    @torch.no_grad()
    def __call__(self, a: Images, b: Images) -> Float[Tensor, " images"]:
        parts = zip(a.split(CHUNK), b.split(CHUNK), strict=True)
        return torch.cat([self._distance(2 * x.float() - 1, 2 * y.float() - 1) for x, y in parts])

    def _distance(self, x: Tensor, y: Tensor) -> Tensor:
        total = x.new_zeros(len(x))
        for level, (f, g) in enumerate(zip(self._levels(x), self._levels(y), strict=True)):
            squared = (normalize(f, dim=1) - normalize(g, dim=1)).square()
            total += conv2d(squared, self.weights[f"lin{level}.model.1.weight"]).mean((1, 2, 3))
        return total

    def _levels(self, x: Tensor) -> Iterator[Tensor]:
        """Features behind each of the five rectifiers."""
        x = (x - self.weights["scaling_layer.shift"]) / self.weights["scaling_layer.scale"]
        yield (x := relu(self._blurred(self._convolved(x, "slice1.0", 2), "slice1.1")))
        x = self._blurred(max_pool2d(x, 3, 1), "slice2.4")
        yield (x := relu(self._convolved(x, "slice2.5", 2)))
        x = self._blurred(max_pool2d(x, 3, 1), "slice3.8")
        yield (x := relu(self._convolved(x, "slice3.9", 1)))
        yield (x := relu(self._convolved(x, "slice4.11", 1)))
        yield relu(self._convolved(x, "slice5.13", 1))

    def _convolved(self, x: Tensor, name: str, padding: int) -> Tensor:
        weight, bias = (self.weights[f"net.{name}.{part}"] for part in ("weight", "bias"))
        return conv2d(x, weight, bias, padding=padding)

    def _blurred(self, x: Tensor, name: str) -> Tensor:
        """Every second pixel of the blurred features."""
        kernel = self.weights[f"net.{name}.filt"]
        return conv2d(pad(x, (2, 2, 2, 2), "reflect"), kernel, stride=2, groups=len(kernel))


def shift_tolerant_lpips(folder: Path | None = None) -> ShiftTolerantLPIPS:
    """ST-LPIPS with the weights of a folder, or else of the installed package."""
    spec = find_spec("stlpips_pytorch")
    package = None if spec is None or spec.origin is None else Path(spec.origin).parent
    places = [place for place in (folder, package) if place is not None]
    found = [f for place in places for name in FILES for f in sorted(place.rglob(name))]
    if not found:
        where = f"in {folder} nor " if folder is not None else ""
        raise FileNotFoundError(f"{FILES[0]} is neither {where}in an installed stlpips-pytorch")
    file = found[0]
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        weights = load_file(file)
    else:
        weights = torch.load(file, map_location="cpu", weights_only=True)
    if not {"lin4.model.1.weight", "net.slice5.13.bias", "scaling_layer.scale"} <= set(weights):
        raise ValueError(f"{file} does not hold the weights of ST-LPIPS (alex); install it again")
    return ShiftTolerantLPIPS(weights)
