r"""Conditional means of a tempered density in the planes across a curve, by Langevin sampling.

For each node the density :math:`q \propto p^{1/T}` is restricted to the plane through the node that
is normal to the curve, and to the points that are nearer to this node than to any node four or more
away (its cell; on a ring the cell ends at the centre). Walkers sample q with the score only, by
Langevin dynamics in the form of Leimkuhler and Matthews, exact for Gaussians at any stable step,

.. math:: \delta_{k+1} = \delta_k + P_\perp \big(h s + \sqrt{2 T h}\,
          \tfrac12 (R_k + R_{k+1})\big);

a step that would leave the cell is rejected. All walkers of all nodes step in one batch.

References:
    Leimkuhler, Matthews, Appl. Math. Res. Express 2013.
    Vanden-Eijnden, Venturoli, J. Chem. Phys. 2009 (walkers confined to cells).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.bvp.string_method import one_sided_derivative
from diffusion_geodesics.density import Score, evaluate

NEIGHBOURS = 4
"""Nodes closer than this along the curve do not bound each other's cells; otherwise the sampling
noise of the curve would cut the cells and so persist."""


@dataclass(frozen=True)
class Planes:
    """The planes normal to a curve at its inner nodes."""

    nodes: Tensor  # of the curve
    velocity: Float[Tensor, "inner dim"]  # one-sided differences at the inner nodes
    matrix: Float[Tensor, "inner nodes"]  # of these differences

    @staticmethod
    def of(nodes: Tensor, increasing: Bool[Tensor, " inner"]) -> Planes:
        """The planes of a curve."""
        matrix = one_sided_derivative(increasing[:, None])[0].to(nodes)
        return Planes(nodes, matrix @ (nodes - nodes[0]), matrix)

    def across(self, x: Float[Tensor, "inner walkers dim"]) -> Tensor:
        """The parts of vectors in the planes."""
        unit = torch.nn.functional.normalize(self.velocity, dim=-1)[:, None]
        return x - (x * unit).sum(-1, keepdim=True) * unit

    def inside(self, x: Float[Tensor, "inner walkers dim"]) -> Bool[Tensor, "inner walkers"]:
        """Whether walkers are in their cells."""
        away = torch.cdist(x.flatten(0, 1), self.nodes).reshape(*x.shape[:2], -1)
        index = torch.arange(len(self.nodes), device=x.device)
        near = (index[1:-1, None] - index).abs() < NEIGHBOURS
        own = torch.linalg.vector_norm(x - self.nodes[1:-1, None], dim=-1)
        return own <= torch.where(near[:, None], torch.inf, away).amin(-1)


@dataclass(frozen=True)
class Walkers:
    """Points of the walkers, and the noise that their next step shares with the one before."""

    x: Float[Tensor, "inner walkers dim"]
    noise: Float[Tensor, "inner walkers dim"]


@dataclass(frozen=True)
class Averages:
    """Averages over some steps of the walkers."""

    offset: Float[Tensor, "inner dim"]  # mean offset from the nodes
    error: Float[Tensor, " inner"]  # standard error of ``offset`` (norm over coordinates)
    variance: Float[Tensor, " inner"]  # of a coordinate across the curve
    drift: Float[Tensor, " inner"]  # score along the curve over the speed


@dataclass(frozen=True)
class Langevin:
    """Langevin dynamics in planes."""

    score: Score  # of the density
    t: Float[Tensor, "inner 1"]  # curve parameter of the inner nodes
    temperature: float  # T > 0
    step: float  # h > 0

    def sample(
        self, walkers: Walkers, planes: Planes, steps: int, generator: torch.Generator
    ) -> tuple[Walkers, Averages]:
        """Some steps in fixed planes."""
        centre = planes.nodes[1:-1, None]
        x = centre + planes.across(walkers.x - centre)
        x = torch.where(planes.inside(x)[..., None], x, centre)
        noise = planes.across(walkers.noise)
        size = math.sqrt(2 * self.temperature * self.step)
        mean = torch.zeros_like(x)
        square = torch.zeros_like(x[..., 0])
        drift = torch.zeros_like(x[:, 0, 0])
        speed = planes.velocity.square().sum(-1).clamp_min(1e-30)
        for _ in range(steps):
            score = evaluate(self.score, self.t.expand(x.shape[:2]), x)
            fresh = planes.across(gaussian_noise(planes.nodes, x.shape[1], generator))
            moved = x + self.step * planes.across(score) + 0.5 * size * (noise + fresh)
            x = torch.where(planes.inside(moved)[..., None], moved, x)
            noise = fresh
            mean = mean + (x - centre) / steps
            square = square + (x - centre).square().sum(-1) / steps
            drift = drift + (score * planes.velocity[:, None]).sum(-1).mean(1) / speed / steps
        offset, count = mean.mean(1), x.shape[1]
        error = (mean - offset[:, None]).square().sum((1, 2)) / (count * (count - 1))
        dims = max(x.shape[-1] - 1, 1)
        variance = (square.mean(1) - offset.square().sum(-1)).clamp_min(0) / dims
        return Walkers(x, noise), Averages(offset, error.sqrt(), variance, drift)


def gaussian_noise(nodes: Tensor, walkers: int, generator: torch.Generator) -> Tensor:
    """Standard normal numbers for the walkers of every inner node."""
    shape = (len(nodes) - 2, walkers, nodes.shape[-1])
    return torch.randn(shape, generator=generator, dtype=nodes.dtype).to(nodes.device)
