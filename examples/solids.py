"""Solids of known factors as volumes of signed distances, and a shaded view of one."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

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


def picture(volume: Tensor, size: int = 120) -> np.ndarray:
    """A shaded view, (size, size, 3) of bytes: the first crossing of zero along parallel rays,
    lit by the gradient of the distance there."""
    turn, tilt = 0.9, 0.4
    forward = torch.tensor([math.cos(turn), math.sin(turn), math.tan(tilt)])  # to the eye
    forward = forward / forward.norm()
    right = torch.linalg.cross(torch.tensor([0.0, 0.0, 1.0]), forward)
    right = right / right.norm()
    up = torch.linalg.cross(forward, right)
    u, depth = torch.linspace(-1.1, 1.1, size), torch.linspace(-1.6, 1.6, 64)
    rows, columns = torch.meshgrid(-u, u, indexing="ij")
    starts = rows[..., None] * up + columns[..., None] * right

    def at(fields: Tensor, places: Tensor) -> Tensor:  # grid_sample wants the last axis first
        grid = places.flip(-1)[None]
        return grid_sample(fields[None], grid, padding_mode="border", align_corners=True)[0]

    places = starts[:, :, None] - depth[:, None] * forward
    distance = at(volume, places)[0].where(places.abs().amax(-1) <= 1, 1.0)
    hit = (distance < 0).to(torch.int8).argmax(-1, keepdim=True).clamp_min(1)
    after, before = distance.gather(-1, hit), distance.gather(-1, hit - 1)
    part = (before / (before - after).clamp_min(1e-6)).clamp(0, 1)
    reached = depth[hit - 1] + part * (depth[1] - depth[0])
    slopes = torch.stack(torch.gradient(volume[0]))
    normal = at(slopes, (starts - reached * forward)[:, :, None])[..., 0].movedim(0, -1)
    normal = normal / normal.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    light = normalize(forward + 0.5 * up - 0.8 * right, dim=0)
    colour = (0.2 + 0.8 * (normal @ light).clamp(0, 1))[..., None] * torch.tensor([0.6, 0.75, 1.0])
    seen = (distance < 0).any(-1)[..., None]
    return (255 * torch.where(seen, colour, torch.ones(3))).byte().numpy()
