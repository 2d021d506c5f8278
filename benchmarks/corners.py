"""Films through three rendered portraits whose frames in between are known: geodesics that meet at
a corner, against the same curves with the corner rounded.

    python -m benchmarks.corners --triples 6 --write runs/corners.json

Both segments of a film, with unit tangents T0 and T1 at the middle image, are given the direction
m = (T0 + T1)/|T0 + T1| there by adding |v|(m - T) h(t) with h cubic, h = h' = 0 at the other end,
h = 0 and h' = 1 at the joint: the least change in that family that makes the curve's direction
continuous. Norms stay those of the segments. Frames are compared with the nearest of many true
renderings around their place, so that pacing decides nothing.

Two truths: factors that go linearly from image to image (with a corner), and along the parabola
through all three (without one).
"""

from __future__ import annotations

import json
from pathlib import Path

import cyclopts
import torch
from torch import Tensor

from benchmarks.record import commit
from diffusion_geodesics import interpolate, load_model
from diffusion_geodesics.images import psnr
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.decode import decode
from diffusion_geodesics.latents.encode import encode, invert
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.latents.profile import LatentPath
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.run import Run
from training.factors import Factors, concatenate, sample_factors
from training.portraits import render

SPREAD = {
    "turn": {"yaw": (-0.5, 0.1, 0.45), "pitch": (-0.12, 0.12, -0.1), "roll": (0.0, 0.08, -0.05)},
    "expression": {
        "smile": (-0.7, 0.7, 0.3),
        "brow": (-0.6, 0.2, 0.8),
        "mouth_open": (0, 0.2, 0.8),
    },
}
"""Factors of the three images of each kind; all others are those of one portrait."""
TRUTHS = ("linear", "parabola")
TIMES = torch.arange(1, 8, dtype=torch.float64) / 8
"""Curve parameters of the frames on each segment."""
STEP, DENSE = 1e-4, 33
WORSE = 0.1
"""dB by which a frame counts as better or worse."""


def main(*, triples: int = 6, seed: int = 11, write: Path = Path("runs/corners.json")) -> None:
    """Make the films, compare, print and write.

    Args:
        triples: portraits, each with a turn or an expression by turns.
        seed: of the portraits.
        write: file of the figures.
    """
    model, people = load_model("embedded"), sample_factors(triples, seeded(seed))
    rows: list[dict[str, object]] = []
    for i in range(triples):
        kind = tuple(SPREAD)[i % len(SPREAD)]
        three = concatenate(
            [
                people.select(i).replace(**{n: values[k] for n, values in SPREAD[kind].items()})
                for k in range(3)
            ]
        )
        frames = films(model, render(three))
        for truth in TRUTHS:
            near = {name: nearest(film, true_frames(three, truth)) for name, film in frames.items()}
            gain = near["rounded"] - near["corner"]
            row = {
                "kind": kind,
                "truth": truth,
                **{name: round(float(values.mean()), 3) for name, values in near.items()},
                "better": int((gain > WORSE).sum()),
                "worse": int((gain < -WORSE).sum()),
                "beside the joint": round(float(gain[6:8].mean()), 3),
            }
            print(row, flush=True)
            rows.append(row)
    write.parent.mkdir(parents=True, exist_ok=True)
    write.write_text(json.dumps({"commit": commit(), "seed": seed, "rows": rows}, indent=1))


def seeded(seed: int) -> torch.Generator:
    """A generator with a seed."""
    return torch.Generator().manual_seed(seed)


def films(model: DiffusionModel, images: Tensor) -> dict[str, Tensor]:
    """Frames inside both segments, with the corner and with it rounded."""
    settings = InterpolationSettings.of(film_only=True, frames=3)
    film = interpolate(model, list(images), settings)
    paths = [segment.profile.path for segment in film.segments]
    run = Run()
    pictures = load_pictures(model, list(images), settings.framing)
    noised = invert(run, encode(run, model, pictures, settings.prompts), settings.inversion)
    found = {}
    for name, latents in (("corner", plain(paths)), ("rounded", rounded(paths))):
        condition = noised.encoded.conditions[0]
        found[name] = decode(run, noised.parts, settings.inversion, latents, condition)
    return found


def plain(paths: list[LatentPath]) -> Tensor:
    """Latents along both segments."""
    return torch.cat([path.latent(TIMES) for path in paths])


def rounded(paths: list[LatentPath]) -> Tensor:
    """The same with one direction at the joint."""
    ends = torch.tensor([1 - STEP, 1.0], dtype=torch.float64), torch.tensor([0.0, STEP])
    v = [
        (path.latent(t.double()).diff(dim=0) / STEP)[0] for path, t in zip(paths, ends, strict=True)
    ]
    tangents = [x / x.norm() for x in v]
    mean = tangents[0] + tangents[1]
    mean = mean / mean.norm()
    print(f"angle {float((tangents[0] @ tangents[1]).clamp(-1, 1).acos().rad2deg()):.0f} degrees")
    bumps = TIMES.square() * (TIMES - 1), TIMES * (1 - TIMES).square()
    found = []
    for path, velocity, tangent, bump in zip(paths, v, tangents, bumps, strict=True):
        x = path.latent(TIMES)
        moved = x + bump[:, None] * velocity.norm() * (mean - tangent)
        found.append(moved * x.norm(dim=-1, keepdim=True) / moved.norm(dim=-1, keepdim=True))
    return torch.cat(found)


def true_frames(three: Factors, truth: str) -> Tensor:
    """Renderings along both segments, shape (2 dense, 3, height, width)."""
    a, b, c = (three.select(k) for k in range(3))
    found = []
    for u in torch.linspace(0, 2, 2 * DENSE).tolist():
        if truth == "linear":
            at = a.interpolate(b, u) if u < 1 else b.interpolate(c, u - 1)
        else:
            weights = ((1 - u) * (2 - u) / 2, u * (2 - u), u * (u - 1) / 2)
            at = a.map(
                lambda n, x, w=weights: w[0] * x + w[1] * b.tensors()[n] + w[2] * c.tensors()[n]
            )
        found.append(at)
    return render(concatenate(found))


def nearest(frames: Tensor, truth: Tensor) -> Tensor:
    """PSNR of each frame to the nearest true one of its segment, in dB."""
    half = len(truth) // 2
    found = []
    for i, frame in enumerate(frames):
        there = truth[:half] if i < len(frames) // 2 else truth[half:]
        found.append(psnr(frame.expand_as(there).float(), there).max())
    return torch.stack(found)


if __name__ == "__main__":
    cyclopts.run(main)
