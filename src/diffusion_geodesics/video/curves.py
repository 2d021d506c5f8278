"""Curves as sequences of points: arc length, equal steps of it, random ones."""

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.path import GreatArc

BUMPS = (3, 6, 12, 24)
"""Half waves of which a random smooth path is made; more where fewer are not long enough."""


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

    :math:`\gamma = P(\mathrm{slerp} + c \sum_{m \le M} z_m \sin(m \pi t))` with z_m normal and c
    found by bisection. M is 3, or 6, 12, 24 where a sphere has no room for so long a path of fewer
    waves. A length below the arc's gives the arc; one that even these do not reach, the longest.
    """
    t = torch.linspace(0, 1, count, dtype=start.dtype, device=start.device)
    arc = GreatArc(start, end)(t)
    generator = torch.Generator().manual_seed(seed)
    shape = (BUMPS[-1], *start.shape)
    noise = torch.randn(shape, generator=generator, dtype=torch.float64).to(start)
    found = arc
    missing = torch.ones_like(length, dtype=torch.bool)
    for waves in BUMPS:
        order = torch.arange(1, waves + 1, dtype=start.dtype, device=start.device)
        bump = torch.tensordot(torch.sin(torch.pi * t[:, None] * order), noise[:waves], dims=1)
        bump = bump * (waves * start.shape[-1]) ** -0.5
        path = _stretched(arc, bump, length, sphere)
        found = torch.where(missing[:, None], path, found)
        missing = missing & (arc_length(path)[-1] < 0.999 * length)
        if not bool(missing.any()):
            break
    return found


def _stretched(arc: Tensor, bump: Tensor, length: Tensor, sphere: Sphere) -> Tensor:
    """The arc with a multiple of a bump, so that it gets a length; or nearly the longest."""

    def bent(size: Tensor) -> Tensor:
        inner = sphere.project(arc + size[:, None] * bump)[1:-1]
        return torch.cat([arc[:1], inner, arc[-1:]])

    low = torch.zeros_like(length)
    high = torch.full_like(length, 8 * sphere.radius)
    for _ in range(50):
        middle = 0.5 * (low + high)
        short = arc_length(bent(middle))[-1] < length
        low, high = torch.where(short, middle, low), torch.where(short, high, middle)
    return bent(low)
