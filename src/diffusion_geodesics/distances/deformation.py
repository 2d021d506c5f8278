r"""Smooth displacement fields on a grid of one to three axes, and arrays carried along them.

A field is a sum of cosine modes, :math:`v(p) = \sum_k m_k c_k(p) / \sqrt{(\gamma + |k|^2)^s}` for
each component, so that its norm is that of its coefficients,
:math:`\|v\|_V^2 = \sum_k (\gamma + |k|^2)^s |v_k|^2 = |m|^2`. Lengths are such that the longest
edge of the grid is 2.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import grid_sample


@dataclass(frozen=True)
class Grid:
    """A grid with its cosine modes."""

    size: tuple[int, ...]  # points along each axis, one to three
    modes: int  # cosine modes along each axis; no more than its points are used
    smoothness: float  # s
    gamma: float  # γ > 0
    like: Tensor  # whose type and device everything has

    @property
    def edges(self) -> tuple[float, ...]:
        """Half the length of each edge."""
        return tuple(n / max(self.size) for n in self.size)

    @property
    def counts(self) -> tuple[int, ...]:
        """Modes along each axis."""
        return tuple(min(self.modes, n) for n in self.size)

    @property
    def points(self) -> Float[Tensor, "*grid axes"]:
        """The centres of the cells."""
        axes = [
            ((torch.arange(n).to(self.like) + 0.5) * 2 / n - 1) * edge
            for n, edge in zip(self.size, self.edges, strict=True)
        ]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)

    @property
    def eigenvalues(self) -> Float[Tensor, "*modes"]:
        """(γ + |k|²)^s of every mode."""
        square = torch.zeros(()).to(self.like)
        for count, edge in zip(self.counts, self.edges, strict=True):
            wave = torch.arange(count).to(self.like) * math.pi / (2 * edge)
            square = square[..., None] + wave.square()
        return (self.gamma + square) ** self.smoothness

    def fields(
        self, coefficients: Float[Tensor, "*batch axes *modes"]
    ) -> Float[Tensor, "*batch *grid axes"]:
        """Displacements at all points."""
        rank = len(self.size)
        values = coefficients * self.eigenvalues.rsqrt()
        for axis, (n, count) in enumerate(zip(self.size, self.counts, strict=True)):
            at = (torch.arange(n).to(self.like) + 0.5) / n
            waves = math.pi * torch.arange(count).to(self.like)[:, None] * at
            basis = math.sqrt(2) * torch.cos(waves)
            basis[0] = 1.0
            place = values.ndim - rank + axis
            values = torch.movedim(torch.movedim(values, place, -1) @ basis, -1, place)
        return torch.movedim(values, values.ndim - rank - 1, -1)

    def sample(
        self, arrays: Float[Tensor, "batch channels *grid"], at: Float[Tensor, "batch *grid axes"]
    ) -> Float[Tensor, "batch channels *grid"]:
        """Values between the cells, linearly; beyond the border those of the border."""
        where = (at / at.new_tensor(self.edges)).flip(-1)  # grid_sample counts axes from the last
        if len(self.size) == 1:
            rows = torch.stack([where[..., 0], torch.zeros_like(where[..., 0])], -1)
            return grid_sample(
                arrays[:, :, None], rows[:, None], padding_mode="border", align_corners=False
            )[:, :, 0]
        return grid_sample(arrays, where, padding_mode="border", align_corners=False)

    def slopes(self, arrays: Float[Tensor, "batch channels *grid"]) -> list[Tensor]:
        """Derivatives along each axis, each of the arrays' shape."""
        return [
            torch.gradient(arrays, spacing=2 * edge / n, dim=axis + 2)[0]
            if n > 1
            else torch.zeros_like(arrays)
            for axis, (n, edge) in enumerate(zip(self.size, self.edges, strict=True))
        ]

    def stretch(self, maps: Float[Tensor, "batch *grid axes"]) -> Float[Tensor, "batch *grid"]:
        """The determinant of the derivative of maps of the grid, cut off to [0.1, 10]."""
        columns = [slope.unbind(1) for slope in self.slopes(torch.movedim(maps, -1, 1))]
        return _determinant(columns).clamp(0.1, 10)


def _determinant(columns: Sequence[Sequence[Tensor]]) -> Tensor:
    """Of many small matrices at once, by expansion along the first column."""
    first, *others = columns
    if not others:
        return first[0]
    total = torch.zeros_like(first[0])
    for i, entry in enumerate(first):
        minor = [[*column[:i], *column[i + 1 :]] for column in others]
        total = total + (-1) ** i * entry * _determinant(minor)
    return total
