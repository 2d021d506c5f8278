r"""Curves with fixed ends in coordinates in which the Euclidean energy is round.

The interior nodes are the initial ones plus a sum of sine waves. Wave k is scaled by the inverse
root of its eigenvalue :math:`4 n \sin^2(\pi k / 2n)` under the second difference, so that the norm
of the coordinates y is the norm of the change of γ' and the number of steps of a minimiser does not
grow with the number of intervals n.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.metric import Energy
from diffusion_geodesics.shapes import Nodes, PathValues


@dataclass(frozen=True)
class Trial:
    """A batch of curves, their energies and their gradients."""

    nodes: Nodes
    segments: Float[Tensor, "segments paths"]  # squared lengths ℓ²
    value: PathValues  # energy over twice that of the initial path
    gradient: Float[Tensor, "paths size"]  # of ``value`` with respect to y
    residual: PathValues  # stationarity ρ

    @property
    def length(self) -> PathValues:
        """Sum of the lengths of the segments."""
        return self.segments.clamp_min(0).sqrt().sum(0)

    def or_better(self, other: Trial, tol: float) -> Trial:
        """For every path the more stationary of two curves.

        This curve is kept if its ρ is below ``tol`` already, or if the energy of the other one is
        above that of the initial path."""
        better = (other.value <= 0.5 * (1 + 1e-6)) & (other.residual < self.residual)
        better &= ~(self.residual < tol)
        return self.replaced(better, other)

    def replaced(self, where: Tensor, other: Trial) -> Trial:
        """With some of the paths replaced."""
        wide, names = where[:, None], ("segments", "value", "residual")
        scalars = {n: torch.where(where, getattr(other, n), getattr(self, n)) for n in names}
        nodes = torch.where(wide, other.nodes, self.nodes)
        gradient = torch.where(wide, other.gradient, self.gradient)
        return Trial(nodes=nodes, gradient=gradient, **scalars)


@dataclass(frozen=True)
class SineCoordinates:
    """Coordinates y of curves with fixed ends, shape (paths, size); 0 is the initial path."""

    energy: Energy  # of the curves
    initial: Nodes  # nodes of the initial paths
    basis: Float[Tensor, "inner inner"]  # the scaled sine waves
    scale: PathValues  # root mean square of |γ'| of the initial paths
    unit: PathValues  # twice the energy of the initial paths

    @staticmethod
    def about(energy: Energy, initial: Nodes) -> SineCoordinates:
        """Coordinates about initial paths."""
        n = len(initial) - 1
        k = torch.arange(1, n, dtype=torch.float64)
        waves = (2 / n) ** 0.5 * torch.sin(torch.pi * k[:, None] * k / n)
        basis = waves / (2 * n**0.5 * torch.sin(torch.pi * k / (2 * n)))
        with torch.no_grad():
            t = torch.linspace(0, 1, n + 1, dtype=torch.float64).to(initial)
            start = n * energy.segments(t, initial).sum(0)
        unit = torch.where(start > 0, 2 * start, 1.0)
        return SineCoordinates(energy, initial, basis.to(initial), _rms_speed(initial), unit)

    @property
    def paths(self) -> int:
        """Number of paths."""
        return self.initial.shape[1]

    @property
    def size(self) -> int:
        """Number of coordinates of a path."""
        return self.initial[1:-1, 0].numel()

    def trial(self, y: Float[Tensor, "paths size"]) -> Trial:
        """The curves at y."""
        with torch.enable_grad():
            y = y.detach().clone().requires_grad_()
            waves = y.reshape(self.paths, -1, self.initial.shape[-1]).transpose(0, 1)
            move = self.scale[:, None] * torch.tensordot(self.basis, waves, dims=1)
            inner = self.energy.manifold.project(self.initial[1:-1] + move)
            nodes = torch.cat([self.initial[:1], inner, self.initial[-1:]])
            t = torch.linspace(0, 1, len(nodes), dtype=torch.float64).to(nodes)
            segments = self.energy.segments(t, nodes)
            value = segments.sum(0) * (len(nodes) - 1) / self.unit
            (gradient,) = torch.autograd.grad(value.sum(), y)
        nodes, value = nodes.detach(), value.detach()
        value = torch.where(value >= 0, value, torch.nan)
        slope = torch.linalg.vector_norm(gradient, dim=-1) / self.scale.clamp_min(1e-30)
        tiny = torch.finfo(value.dtype).tiny
        residual = 0.5 * slope * _rms_speed(nodes) / value.clamp_min(tiny)
        return Trial(nodes, segments.detach(), value, gradient, residual)


def _rms_speed(nodes: Nodes) -> PathValues:
    """The root mean square of |γ'|."""
    steps = nodes[1:] - nodes[:-1]
    return len(steps) ** 0.5 * torch.linalg.vector_norm(steps, dim=(0, -1))
