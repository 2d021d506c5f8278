"""What the invented reports share."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from diffusion_geodesics.runtime.cost import Cost, CostBreakdown

VERSIONS = {"diffusion-geodesics": "0.1.0", "torch": "2.13.0", "diffusers": "0.42.1"}
SETTINGS = """\
images = ["a.png", "b.png"]
prompt = "a portrait of a man with brown hair"

[metric]
strength = 0.3
level = 0.4

[solve]
tol = 1e-3
seed = 0
"""
COST = CostBreakdown(
    (
        ("encode", Cost(0, 0, 0.2, 0.01)),
        ("invert", Cost(100, 50, 6.1, 1.9)),
        ("solve", Cost(1412, 16, 11.8, 7.7)),
        ("decode", Cost(750, 50, 14.9, 14.2)),
    )
)


def disc(t: Tensor, height: int, width: int, drift: float, alpha: bool = False) -> Tensor:
    """Frames (n, 3 or 4, height, width): a disc that moves, grows and changes colour with t."""
    t = t[:, None, None]
    y = torch.linspace(-1, 1, height)[None, :, None]
    x = torch.linspace(-1, 1, width)[None, None, :]
    distance = ((x - 0.6 * (t - 0.5)) ** 2 + (y - drift * torch.sin(math.pi * t)) ** 2).sqrt()
    inside = torch.sigmoid(40 * (0.35 + 0.2 * t - distance))
    colour = torch.stack((0.95 - 0.7 * t, 0.45 + 0.2 * t, 0.2 + 0.7 * t), 1)
    ground = torch.stack((0.16 + 0 * t, 0.18 + 0 * t, 0.25 + 0.2 * t), 1)
    frames = (inside[:, None] * colour + (1 - inside[:, None]) * ground).clamp(0, 1)
    return torch.cat([frames, inside[:, None].clamp(0.1)], 1) if alpha else frames


def curves(names: Mapping[str, float], n: int = 65) -> dict[str, tuple[Tensor, Tensor]]:
    t = torch.linspace(0, 1, n)
    bump = torch.sin(math.pi * t)
    return {
        name: (t, depth * bump + 6 * (0.5 - t) + 0.6 * torch.sin(9 * t) * bump)
        for name, depth in names.items()
    }
