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


@dataclass(frozen=True)
class Trial:
    """A batch of curves, their energies and their gradients."""

    nodes: Float[Tensor, "nodes paths dim"]
    segments: Float[Tensor, "segments paths"]  # squared lengths ℓ²
    value: Float[Tensor, " paths"]  # energy over twice that of the initial path
    gradient: Float[Tensor, "paths size"]  # of ``value`` with respect to y
    residual: Float[Tensor, " paths"]  # stationarity ρ

    @property
    def length(self) -> Float[Tensor, " paths"]:
        """Sum of the lengths of the segments."""
        return self.segments.clamp_min(0).sqrt().sum(0)

    def or_better(self, other: Trial, tol: float) -> Trial:
        """For every path the more stationary of two curves.

        This curve is kept if its ρ is below ``tol`` already, or if the energy of the other one is
        above that of the initial path."""
        better = (other.value <= 0.5 * (1 + 1e-6)) & (other.residual < self.residual)
        better &= ~(self.residual < tol)
        return Trial(
            torch.where(better[:, None], other.nodes, self.nodes),
            torch.where(better, other.segments, self.segments),
            torch.where(better, other.value, self.value),
            torch.where(better[:, None], other.gradient, self.gradient),
            torch.where(better, other.residual, self.residual),
        )


@dataclass(frozen=True)
class SineCoordinates:
    """Coordinates y of curves with fixed ends, shape (paths, size); 0 is the initial path."""

    energy: Energy  # of the curves
    initial: Float[Tensor, "nodes paths dim"]  # nodes of the initial paths
    basis: Float[Tensor, "inner inner"]  # the scaled sine waves
    scale: Float[Tensor, " paths"]  # root mean square of |γ'| of the initial paths
    unit: Float[Tensor, " paths"]  # twice the energy of the initial paths

    @staticmethod
    def about(energy: Energy, initial: Float[Tensor, "nodes paths dim"]) -> SineCoordinates:
        """Coordinates about initial paths."""
        n = len(initial) - 1
        k = torch.arange(1, n, dtype=torch.float64)
        waves = (2 / n) ** 0.5 * torch.sin(torch.pi * k[:, None] * k / n)
        basis = waves / (2 * n**0.5 * torch.sin(torch.pi * k / (2 * n)))
        with torch.no_grad():
            t = torch.linspace(0, 1, n + 1, dtype=torch.float64).to(initial)
            start = n * energy.segments(t, initial).sum(0)
        return SineCoordinates(
            energy,
            initial,
            basis.to(initial),
            _rms_speed(initial),
            torch.where(start > 0, 2 * start, 1.0),
        )

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


def _rms_speed(nodes: Float[Tensor, "nodes paths dim"]) -> Float[Tensor, " paths"]:
    """The root mean square of |γ'|."""
    steps = nodes[1:] - nodes[:-1]
    return len(steps) ** 0.5 * torch.linalg.vector_norm(steps, dim=(0, -1))
