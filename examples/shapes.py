"""Geodesics between solids: a score model of signed distance volumes, trained here in a minute.

    python examples/shapes.py -o runs/shapes

A solid is a volume (1, 24, 24, 24) of signed distances: a superellipsoid with a knob, joined
smoothly, bent and twisted, of six known factors; the solid with the factors half-way is the true
in-between of two. Writes figures, a strip and a film.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import diffusion_geodesics as dg

sys.path.insert(0, str(Path(__file__).parent))
from array_paths import TIMES, arguments, in_betweens, save
from small_score import SCHEDULE, train
from solids import SIDE, picture, solid


def overlap(found: Tensor, true: Tensor) -> Tensor:
    """Intersection over union with the true solids, its mean over the inner times: one value a
    pair, from (times, pairs, 1, 24, 24, 24)."""
    a, b = (found < 0).flatten(2), (true < 0).flatten(2)
    return ((a & b).sum(-1) / (a | b).sum(-1)).double()[1:-1].mean(0)


def pairs(count: int) -> tuple[Tensor, Tensor]:
    """Factors of the ends: `count` pairs where all differ, then as many where only bend and twist
    do, which change their sign."""
    a, b = 2 * torch.rand(2, 2 * count, 6) - 1
    b[count:] = a[count:]
    a[count:, 3:5] = 0.5 + 0.5 * torch.rand(count, 2)
    b[count:, 3:5] = -a[count:, 3:5]
    return a, b


def main() -> None:
    options = arguments("shapes", 0.3, 1.0)
    folder = options.out
    begin = time.monotonic()
    torch.manual_seed(0)
    data = solid(2 * torch.rand(200 if options.quick else 4000, 6) - 1)
    steps, components, count = (20, 16, 2) if options.quick else (3000, 96, 12)
    denoiser = train(data, steps=steps, components=components)
    model = dg.from_denoiser(denoiser, (1, SIDE, SIDE, SIDE), schedule=SCHEDULE)
    print(f"trained in {time.monotonic() - begin:.0f} s")
    torch.manual_seed(1)  # other solids than those of the training
    a, b = pairs(count)
    found = in_betweens(model, options.level, solid(a), solid(b), options.strength)
    true = torch.stack([solid(a + (b - a) * t) for t in TIMES.tolist()])
    shares = {name: overlap(x, true) for name, x in found.items()}
    kinds = {"all factors differ": slice(count), "bend and twist reversed": slice(count, None)}
    figures = {
        f"IoU, {kind}": {name: share[which] for name, share in shares.items()}
        for kind, which in kinds.items()
    }
    shown = {name: x[:, count] for name, x in (found | {"truth": true}).items()}
    save(folder, "shapes", figures, shown)
    rows = [
        np.stack([picture(v) for v in shown[n]]) for n in ("geodesic", "slerp", "blend", "truth")
    ]
    strip = np.concatenate([np.concatenate(list(row[::2]), 1) for row in rows])
    Image.fromarray(strip).save(folder / "strip.webp", quality=80)
    frames = [Image.fromarray(np.concatenate(at_t, 1)) for at_t in zip(*rows, strict=True)]
    frames += frames[-2:0:-1]
    film = folder / "film.webp"
    frames[0].save(film, save_all=True, append_images=frames[1:], duration=80, loop=0, quality=70)
    print(
        f"{time.monotonic() - begin:.0f} s; strip, film (geodesic, slerp, blend, truth): {folder}"
    )


if __name__ == "__main__":
    main()
