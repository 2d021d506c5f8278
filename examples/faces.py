"""A score model of real faces that others trained, as a model of your own.

    python examples/faces.py --data FOLDER -o runs/faces
    python examples/faces.py --data FOLDER -o runs/faces --large

FOLDER/weights/lpm_celeba_low40.safetensors is a network of 0.7 million parameters for grey, aligned
faces of 40x40 pixels (LabForComputationalVision/local-probability-models-of-images, MIT); and
FOLDER/photos/astronaut.png the portrait of an astronaut (NASA, free), which is joined with its
mirror image. With ``--large`` images have 320x320 pixels: the cascade of the same authors is their
codec (face_cascade.py).

The network is not told the noise: it finds none in a clean image, and would leave it as it is.
Inversions therefore start from images with a little noise (`start_noise`).
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch
from PIL import Image, ImageOps
from torch import Tensor

import diffusion_geodesics as dg
from diffusion_geodesics.diffusion import EDMSchedule
from diffusion_geodesics.models import FunctionModel

sys.path.insert(0, str(Path(__file__).parent))
from face_cascade import DETAILS, LARGE, SIDE, CascadeCodec, ResidualNetwork

NETWORK, PORTRAIT = "weights/lpm_celeba_low40.safetensors", "photos/astronaut.png"
FACE = (133, 16, 317, 200)  # of the astronaut, as CelebA's faces are cut: eyes a quarter apart
TAPPED = (8, 12, 16)  # layers whose outputs serve as features
FRAMES, SHOWN = 9, (0, 2, 4, 6, 8)


class FaceDenoiser(ResidualNetwork):
    """The clean mean of an image in [0, 1] with noise of any standard deviation up to 1."""

    def forward(self, x: Tensor, sigma: float) -> Tensor:
        """The mean of the clean image given x, both in [-1, 1]."""
        y = (x.float() + 1) / 2
        return (2 * (y - self.outputs(y)[-1]) - 1).to(x.dtype)

    def features(self, x: Tensor, sigma: float) -> tuple[Tensor, ...]:
        outputs = self.outputs((x.float() + 1) / 2)
        return tuple(outputs[layer] for layer in TAPPED)


def face_model(folder: Path, *, large: bool = False) -> FunctionModel:
    """The model for `interpolate` and all else; σ is twice that of images in [0, 1]. With ``large``
    its images have 320x320 pixels."""
    network = FaceDenoiser(folder / NETWORK).eval()
    return dg.from_denoiser(
        network,
        (1, SIDE, SIDE),
        schedule=EDMSchedule(sigma_min=0.02, sigma_max=2.0),
        codec=CascadeCodec(folder) if large else None,
        features=network.features,
        id="celeba-320" if large else "celeba-40",
    )


def strip(rows: list[Tensor]) -> Image.Image:
    """Frames (frames, 3, height, width) with values in [0, 1] side by side, rows below each
    other."""
    pixels = torch.cat([torch.cat(list(row), 2) for row in rows], 1).permute(1, 2, 0)
    return Image.fromarray((255 * pixels).round().byte().numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("shared/data"))
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/faces"))
    parser.add_argument("--large", action="store_true", help="images of 320x320 pixels")
    options = parser.parse_args()
    needed = (NETWORK, PORTRAIT, *(DETAILS if options.large else ()))
    if missing := [name for name in needed if not (options.data / name).is_file()]:
        print(f"missing in {options.data}: {', '.join(missing)}; give their folder as --data")
        return
    model = face_model(options.data, large=options.large)
    portrait = Image.open(options.data / PORTRAIT).convert("L").convert("RGB").crop(FACE)
    side, kind = (LARGE, "LANCZOS") if options.large else (SIDE, "BOX")
    portrait = portrait.resize((side, side), Image.Resampling[kind])
    faces, rows = [portrait, ImageOps.mirror(portrait)], []
    for path in ("natural", "geodesic", "slerp"):
        started = time.process_time()
        strength = {} if path == "slerp" else {"strength": 0.1}
        chosen = {"path": path, "frames": FRAMES, "level": 0.5, "start_noise": 0.04, **strength}
        morph = dg.interpolate(model, faces, **chosen)
        print(f"{path}: {time.process_time() - started:.0f} s", *morph.warnings, sep="\n  ")
        dg.save(morph, options.out / path, overwrite=True)
        rows.append(morph.frames[list(SHOWN)])
    strip(rows).save(options.out / "strip.webp", quality=80)


if __name__ == "__main__":
    main()
