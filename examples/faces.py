"""A score model of real faces that others trained, as a model of your own.

    python examples/faces.py --data FOLDER -o runs/faces

FOLDER/weights/lpm_celeba_low40.safetensors is a network of 0.7 million parameters for grey, aligned
faces of 40x40 pixels (LabForComputationalVision/local-probability-models-of-images, MIT); and
FOLDER/photos/astronaut.png the portrait of an astronaut (NASA, free), which is joined with its
mirror image.

The network is not told the noise: it finds none in a clean image, and would leave it as it is.
Inversions therefore start from images with a little noise (`start_noise`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from PIL import Image, ImageOps
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import conv2d

import diffusion_geodesics as dg
from diffusion_geodesics.diffusion import EDMSchedule
from diffusion_geodesics.models import FunctionModel

SIDE = 40
FACE = (133, 16, 317, 200)  # of the astronaut, as CelebA's faces are cut: eyes a quarter apart
TAPPED = (8, 12, 16)  # layers whose outputs serve as features


class FaceDenoiser(torch.nn.Module):
    """The noise f(y) in an image y in [0, 1], of any standard deviation up to 1: the clean mean is
    y - f(y), without biases and without being told σ."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        weights = load_file(file)
        self.layers = sum(name.startswith("conv_layers.") for name in weights)
        for name, tensor in weights.items():
            self.register_buffer(name.replace(".", "_"), tensor)

    def _outputs(self, y: Tensor) -> list[Tensor]:
        found, h = [], y
        for layer in range(self.layers):
            h = conv2d(h, self.get_buffer(f"conv_layers_{layer}_weight"), padding=1)
            if 0 < layer < self.layers - 1:
                gain = self.get_buffer(f"BN_layers_{layer - 1}_gammas")
                h = (h * gain / self.get_buffer(f"BN_layers_{layer - 1}_running_sd")).relu()
            found.append(h)
        return found

    def forward(self, x: Tensor, sigma: float) -> Tensor:
        """The mean of the clean image given x, both in [-1, 1]."""
        y = (x.float() + 1) / 2
        return (2 * (y - self._outputs(y)[-1]) - 1).to(x.dtype)

    def features(self, x: Tensor, sigma: float) -> tuple[Tensor, ...]:
        outputs = self._outputs((x.float() + 1) / 2)
        return tuple(outputs[layer] for layer in TAPPED)


def face_model(folder: Path) -> FunctionModel:
    """The model for `interpolate` and all else; σ is twice that of images in [0, 1]."""
    network = FaceDenoiser(folder / "weights" / "lpm_celeba_low40.safetensors").eval()
    return dg.from_denoiser(
        network,
        (1, SIDE, SIDE),
        schedule=EDMSchedule(sigma_min=0.02, sigma_max=2.0),
        features=network.features,
        id="celeba-40",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("shared/data"))
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/faces"))
    options = parser.parse_args()
    needed = ("weights/lpm_celeba_low40.safetensors", "photos/astronaut.png")
    if missing := [name for name in needed if not (options.data / name).is_file()]:
        print(f"missing in {options.data}: {', '.join(missing)}; give their folder as --data")
        return
    model = face_model(options.data)
    portrait = Image.open(options.data / needed[1]).convert("RGB").crop(FACE)
    portrait = portrait.resize((SIDE, SIDE), Image.Resampling.BOX)
    faces = [portrait, ImageOps.mirror(portrait)]
    for path in ("natural", "geodesic", "slerp"):
        strength = {} if path == "slerp" else {"strength": 0.1}
        chosen = {"path": path, "frames": 9, "level": 0.5, "start_noise": 0.04, **strength}
        morph = dg.interpolate(model, faces, **chosen)
        print(path, *morph.warnings, sep="\n  ")
        dg.save(morph, options.out / path, overwrite=True)


if __name__ == "__main__":
    main()
