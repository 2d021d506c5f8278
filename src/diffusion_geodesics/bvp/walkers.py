r"""Walkers in the planes across a curve: conditional means of a tempered density.

In the plane through a node, across the curve, and among the points that are nearer to that node
than to any node four or more away (the cell: on a ring it ends at the centre), lies the density
:math:`q \propto p^{1/T}`. Walkers sample it with the score only, by Langevin dynamics in the form
of Leimkuhler and Matthews, exact for Gaussians at any stable step,

.. math:: \delta_{k+1} = \delta_k + P_\perp \big(h s + \sqrt{2 T h}\,
          \tfrac12 (R_k + R_{k+1})\big);

a step that would leave the cell is not taken. All walkers of all nodes step in one call.

References
----------
Leimkuhler, Matthews, Appl. Math. Res. Express 2013. Vanden-Eijnden, Venturoli, J. Chem. Phys. 2009
(cells, and walkers that may not leave them).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.bvp.string import uphill
from diffusion_geodesics.density import Score

NEIGHBOURS = 4
"""Nodes, from one to the next, that do not bound each other's cells: else the noise of the curve
would cut the cells, and cut cells keep the noise."""


@dataclass(frozen=True)
class Planes:
    """The curve, its velocity at inner nodes (uphill differences) and their matrix."""

    nodes: Tensor
    velocity: Float[Tensor, "inner dim"]
    matrix: Float[Tensor, "inner nodes"]

    @staticmethod
    def of(nodes: Tensor, climbs: Bool[Tensor, " inner"]) -> Planes:
        """The planes of a curve; ``climbs`` says where the density grows along it."""
        matrix = uphill(climbs[:, None])[0].to(nodes)
        return Planes(nodes, matrix @ (nodes - nodes[0]), matrix)

    def across(self, x: Float[Tensor, "inner walkers dim"]) -> Tensor:
        """The parts of vectors in the planes."""
        unit = torch.nn.functional.normalize(self.velocity, dim=-1)[:, None]
        return x - (x * unit).sum(-1, keepdim=True) * unit

    def inside(self, x: Float[Tensor, "inner walkers dim"]) -> Bool[Tensor, "inner walkers"]:
        """Whether walkers are nearer to their own node than to those outside its neighbourhood."""
        away = torch.cdist(x.flatten(0, 1), self.nodes).reshape(*x.shape[:2], -1)
        index = torch.arange(len(self.nodes), device=x.device)
        near = (index[1:-1, None] - index).abs() < NEIGHBOURS
        own = torch.linalg.vector_norm(x - self.nodes[1:-1, None], dim=-1)
        return own <= torch.where(near[:, None], torch.inf, away).amin(-1)


@dataclass(frozen=True)
class Crowd:
    """Points of the walkers, and the noise that their next step shares with the one before."""

    x: Float[Tensor, "inner walkers dim"]
    noise: Float[Tensor, "inner walkers dim"]


@dataclass(frozen=True)
class Seen:
    """Averages over a sweep: mean offset from the nodes with its error, variance of a coordinate
    across the curve, score along it over the speed."""

    offset: Float[Tensor, "inner dim"]
    error: Float[Tensor, " inner"]
    variance: Float[Tensor, " inner"]
    drift: Float[Tensor, " inner"]


@dataclass(frozen=True)
class Langevin:
    """Langevin dynamics in planes.

    Args:
        score: of the density.
        t: curve parameter of the inner nodes.
        temperature: T.
        step: h.
    """

    score: Score
    t: Float[Tensor, "inner 1"]
    temperature: float
    step: float

    def swept(
        self, crowd: Crowd, planes: Planes, steps: int, generator: torch.Generator
    ) -> tuple[Crowd, Seen]:
        """Some steps in standing planes. Cost: one call a step."""
        centre = planes.nodes[1:-1, None]
        x = centre + planes.across(crowd.x - centre)
        x = torch.where(planes.inside(x)[..., None], x, centre)
        noise = planes.across(crowd.noise)
        size = math.sqrt(2 * self.temperature * self.step)
        mean = torch.zeros_like(x)
        square = torch.zeros_like(x[..., 0])
        drift = torch.zeros_like(x[:, 0, 0])
        speed = planes.velocity.square().sum(-1).clamp_min(1e-30)
        for _ in range(steps):
            score = self.score(self.t.expand(x.shape[:2]), x)
            fresh = planes.across(gaussian_noise(planes.nodes, x.shape[1], generator))
            moved = x + self.step * planes.across(score) + 0.5 * size * (noise + fresh)
            x = torch.where(planes.inside(moved)[..., None], moved, x)
            noise = fresh
            mean = mean + (x - centre) / steps
            square = square + (x - centre).square().sum(-1) / steps
            drift = drift + (score * planes.velocity[:, None]).sum(-1).mean(1) / speed / steps
        offset, walkers = mean.mean(1), x.shape[1]
        error = (mean - offset[:, None]).square().sum((1, 2)) / (walkers * (walkers - 1))
        dims = max(x.shape[-1] - 1, 1)
        variance = (square.mean(1) - offset.square().sum(-1)).clamp_min(0) / dims
        return Crowd(x, noise), Seen(offset, error.sqrt(), variance, drift)


def gaussian_noise(nodes: Tensor, walkers: int, generator: torch.Generator) -> Tensor:
    """Standard normal numbers for the walkers of every inner node."""
    shape = (len(nodes) - 2, walkers, nodes.shape[-1])
    return torch.randn(shape, generator=generator, dtype=nodes.dtype).to(nodes.device)
