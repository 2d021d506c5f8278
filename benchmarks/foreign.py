"""Which pictures are said to be foreign to the embedded model.

Fresh rendered portraits, the same as JPEG and upside down, and photographs of your own, with the
ratio that decides (`diffusion_geodesics.latents.domain`). Nothing here was used in training.

    python -m benchmarks.foreign
    python -m benchmarks.foreign PHOTO.jpg PHOTO.png ...
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from diffusion_geodesics import load_model
from diffusion_geodesics.images import ImageSource
from diffusion_geodesics.latents.domain import Familiarity
from diffusion_geodesics.latents.encode import encode
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.latents.settings import Framing, Prompts
from diffusion_geodesics.runtime.run import Run
from training.factors import sample_factors
from training.portraits import render

COUNT, SEED = 200, 4242
FEW = 40
"""Portraits that are changed."""


def as_jpeg(image: Tensor, quality: int) -> Tensor:
    """An image (3, height, width) written as JPEG and read again."""
    file = BytesIO()
    pixels = (image.movedim(0, -1) * 255).round().byte().numpy()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return torch.from_numpy(np.array(Image.open(file))).movedim(-1, 0) / 255


def main(photographs: list[Path]) -> None:
    """Print one line for each kind of picture."""
    model = load_model("embedded", device="cpu")
    faces = list(render(sample_factors(COUNT, torch.Generator().manual_seed(SEED))))
    kinds: dict[str, list[ImageSource]] = {
        "rendered portraits": [*faces],
        "as JPEG of quality 40": [as_jpeg(face, 40) for face in faces[:FEW]],
        "upside down": [face.flip(1) for face in faces[:FEW]],
    }
    if photographs:
        kinds["photographs"] = [*photographs]
    print("pictures | how many | ratio, least | greatest | dB, least | foreign")
    print("---|--:|--:|--:|--:|--:")
    for name, images in kinds.items():
        pictures = load_pictures(model, images, Framing(), least=1)
        known = encode(Run(), model, pictures, Prompts()).known
        each = zip(known.psnr.split(1), known.misfit.split(1), strict=True)
        foreign = sum(bool(Familiarity(*one).reasons) for one in each)
        least, most = float(known.misfit.min()), float(known.misfit.max())
        psnr = float(known.psnr.min())
        print(f"{name} | {len(images)} | {least:.2f} | {most:.2f} | {psnr:.1f} | {foreign}")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
