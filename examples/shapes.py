"""Geodesics between solids: a score model of signed distance volumes, trained here in a minute.

    python examples/shapes.py -o runs/shapes

A solid is a volume (1, 24, 24, 24) of signed distances: a superellipsoid with a knob, joined
smoothly, bent and twisted, of six known factors; the solid with the factors half-way is the true
in-between of two. Writes figures, a strip and a film.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import grid_sample

import diffusion_geodesics as dg

sys.path.insert(0, str(Path(__file__).parent))
from array_paths import TIMES, in_betweens, own_folder, save_figures
from small_score import train

SIDE = 24
PLACES = torch.stack(
    torch.meshgrid(*[torch.linspace(-1, 1, SIDE)] * 3, indexing="ij"), -1
)  # x, y, z


def _superellipsoid(places: tuple[Tensor, ...], radii: tuple[Tensor, ...], e: Tensor) -> Tensor:
    terms = [(x / r).abs() ** (2 / e) for x, r in zip(places, radii, strict=True)]
    inside = sum(terms).clamp_min(1e-6) ** (-e / 2)
    return sum(x * x for x in places).sqrt() * (1 - inside)


def solid(factors: Tensor) -> Tensor:
    """Signed distances (rows, 1, 24, 24, 24) of solids with factors (rows, 6) in [-1, 1]:
    roundness, flatness, size of the knob, bend, twist, height."""
    made = []
    for rows in factors.to(torch.float32).split(256):
        roundness, flat, knob, bend, twist, height = rows.T.reshape(6, -1, 1, 1, 1)
        x, y, z = PLACES.unbind(-1)
        x = x - 0.6 * bend * (z**2 - 0.3)
        angle = 1.3 * twist * z
        x, y = x * angle.cos() - y * angle.sin(), x * angle.sin() + y * angle.cos()
        z = z.expand_as(x)
        radii = (0.52 + 0.1 * flat, 0.36 - 0.1 * flat, 0.6 + 0.1 * height)
        body = _superellipsoid((x, y, z + 0.15), radii, 0.65 + 0.35 * roundness)
        top = z - 0.45 - 0.1 * height
        ball = (x * x + y * y + top * top).sqrt() - 0.22 - 0.08 * knob
        mix = (0.5 + 5 * (ball - body)).clamp(0, 1)  # a smooth union
        made.append((ball + (body - ball) * mix - 0.1 * mix * (1 - mix)).clamp(-0.4, 0.6))
    return torch.cat(made)[:, None]


def overlap(found: Tensor, true: Tensor) -> Tensor:
    """Intersection over union with the true solids, its mean over the inner times: one value a
    pair, from (times, pairs, 1, 24, 24, 24)."""
    a, b = (found < 0).flatten(2), (true < 0).flatten(2)
    return ((a & b).sum(-1) / (a | b).sum(-1)).double()[1:-1].mean(0)


def picture(volume: Tensor, size: int = 120) -> np.ndarray:
    """A shaded view, (size, size, 3) of bytes: the first crossing of zero along parallel rays,
    lit by the gradient of the distance there."""
    turn, tilt = 0.9, 0.4
    forward = torch.tensor([math.cos(turn), math.sin(turn), math.tan(tilt)])  # to the eye
    forward = forward / forward.norm()
    right = torch.linalg.cross(torch.tensor([0.0, 0.0, 1.0]), forward)
    right = right / right.norm()
    up = torch.linalg.cross(forward, right)
    u, depth = torch.linspace(-1.1, 1.1, size), torch.linspace(-1.6, 1.6, 160)
    rows, columns = torch.meshgrid(-u, u, indexing="ij")
    starts = rows[..., None] * up + columns[..., None] * right
    fields = torch.cat([volume, torch.stack(torch.gradient(volume[0]))])  # and its gradient

    def at(places: Tensor) -> Tensor:  # (4, *places); grid_sample wants the last axis first
        grid = places.flip(-1)[None]
        return grid_sample(fields[None], grid, padding_mode="border", align_corners=True)[0]

    places = starts[:, :, None] - depth[:, None] * forward
    distance = at(places)[0].where(places.abs().amax(-1) <= 1, 1.0)
    hit = (distance < 0).to(torch.int8).argmax(-1, keepdim=True).clamp_min(1)
    after, before = distance.gather(-1, hit), distance.gather(-1, hit - 1)
    part = (before / (before - after).clamp_min(1e-6)).clamp(0, 1)
    reached = depth[hit - 1] + part * (depth[1] - depth[0])
    normal = at((starts - reached * forward)[:, :, None])[1:, ..., 0].movedim(0, -1)
    normal = normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    light = torch.nn.functional.normalize(forward + 0.5 * up - 0.8 * right, dim=0)
    colour = (0.2 + 0.8 * (normal @ light).clamp(0, 1))[..., None] * torch.tensor([0.6, 0.75, 1.0])
    seen = (distance < 0).any(-1)[..., None]
    return (255 * torch.where(seen, colour, torch.ones(3))).byte().numpy()


def pairs(count: int) -> tuple[Tensor, Tensor]:
    """Factors of the ends: `count` pairs where all differ, then as many where only bend and twist
    do, which change their sign."""
    a, b = 2 * torch.rand(2, 2 * count, 6) - 1
    b[count:] = a[count:]
    a[count:, 3:5] = 0.5 + 0.5 * torch.rand(count, 2)
    b[count:, 3:5] = -a[count:, 3:5]
    return a, b


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("runs/shapes"))
    parser.add_argument("--quick", action="store_true", help="a tiny training, for tests")
    parser.add_argument("--level", type=float, default=0.3, help="noise level")
    parser.add_argument("--strength", type=float, default=1.0, help="α·d of the geodesic")
    options = parser.parse_args()
    folder = own_folder(options.out, "shapes")
    begin = time.monotonic()
    torch.manual_seed(0)
    data = solid(2 * torch.rand(200 if options.quick else 4000, 6) - 1)
    steps, components, count = (20, 16, 2) if options.quick else (3000, 96, 12)
    model = dg.from_denoiser(train(data, steps=steps, components=components), (1, SIDE, SIDE, SIDE))
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
    save_figures(folder, "shapes", figures)
    shown = {name: x[:, count] for name, x in (found | {"truth": true}).items()}
    np.savez_compressed(folder / "between.npz", **{name: x.numpy() for name, x in shown.items()})
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
