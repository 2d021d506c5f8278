"""Curves as sequences of points: arc length, equal steps of it, random ones."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.path import GreatArc

BUMPS = 3
"""Half waves of which a random smooth path is made."""


def arc_length(points: Float[Tensor, "n *batch dim"]) -> Float[Tensor, "n *batch"]:
    """Euclidean length of the polygon from its start to each point."""
    steps = torch.linalg.vector_norm(points.diff(dim=0), dim=-1)
    return torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])


def at_arc_length(
    points: Float[Tensor, "n batch dim"], fraction: Float[Tensor, "m batch"]
) -> Float[Tensor, "m batch dim"]:
    """Points of polygons at fractions of their length."""
    arc = arc_length(points).T.contiguous()
    wanted = (fraction.T * arc[:, -1:]).contiguous()
    right = torch.searchsorted(arc, wanted).clamp(1, len(points) - 1)
    low, high = arc.gather(1, right - 1), arc.gather(1, right)
    weight = ((wanted - low) / (high - low).clamp_min(1e-30)).clamp(0, 1).T[..., None]
    batch = torch.arange(points.shape[1], device=points.device)
    return torch.lerp(points[right.T - 1, batch], points[right.T, batch], weight)


def random_paths(
    start: Float[Tensor, "batch dim"],
    end: Float[Tensor, "batch dim"],
    length: Float[Tensor, " batch"],
    count: int,
    sphere: Sphere,
    seed: int,
) -> Float[Tensor, "count batch dim"]:
    r"""Smooth paths on a sphere with given ends and lengths, in seeded random directions.

    :math:`\gamma = P(\mathrm{slerp} + c \sum_{m \le 3} z_m \sin(m \pi t) / m)` with z_m normal
    and c found by bisection. A length below the arc's gives the arc.
    """
    t = torch.linspace(0, 1, count, dtype=start.dtype, device=start.device)
    arc = GreatArc(start, end)(t)
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(BUMPS, *start.shape, generator=generator, dtype=torch.float64).to(start)
    order = torch.arange(1, BUMPS + 1, dtype=start.dtype, device=start.device)
    waves = torch.sin(torch.pi * t[:, None] * order) / order
    waves[0] = waves[-1] = 0
    bump = torch.tensordot(waves, noise, dims=1) / start.shape[-1] ** 0.5

    def bent(size: Tensor) -> Tensor:
        return torch.cat([arc[:1], sphere.project(arc + size[:, None] * bump)[1:-1], arc[-1:]])

    low = torch.zeros_like(length)
    high = torch.full_like(length, 8 * sphere.radius)
    for _ in range(50):
        middle = 0.5 * (low + high)
        short = arc_length(bent(middle))[-1] < length
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return bent(low)
