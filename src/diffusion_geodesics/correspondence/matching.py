r"""Which cell of one image shows what a cell of another shows.

Cells i and j match by :math:`\cos(f_i, g_j) - \mu |x_i - x_j|`, first on the coarsest grid of
features, which tells a left eye from a right one, then within reach of that on finer ones, which
place it. A match counts as far as it is distinct (the best less the second best elsewhere) and
mutual (there and back again ends where it began); nothing else is asked of it, so that a head may
turn inside its outline and things may hide one another.

Coordinates of places: the shorter edge of the image is 2, whatever its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, normalize

TEMPERATURE = 0.04
"""Of the average over the cells around the best one, which places a match between cells."""
RESERVE = 0.15
"""μ: how much closer features must be to look for a match one unit further away."""
REACH = 0.35
"""How far a finer grid may move a match."""
ELSEWHERE = 2.5
"""From how many cells off the second best match is a rival."""
RETURN = 1.25
"""By how many cells there-and-back may miss until a match counts e times less."""


@final
@dataclass(frozen=True, eq=False)
class Field:
    """Where the cells of one image are found in another.

    Args:
        displacement: of each cell, (x, y), (height, width, 2).
        weight: how far each can be trusted, 0 or more, (height, width).
    """

    displacement: Float[Tensor, "height width 2"]
    weight: Float[Tensor, "height width"]


@final
@dataclass(frozen=True, eq=False)
class Matches:
    """Correspondences of two images.

    Args:
        forward: from the first to the last; backward: the other way.
    """

    forward: Field
    backward: Field

    @property
    def moved(self) -> float:
        """Mean displacement, weighted, in edges of the image: about 0 for the same image."""
        total, weights = 0.0, 0.0
        for field in (self.forward, self.backward):
            total += float((field.weight * field.displacement.norm(dim=-1)).sum())
            weights += float(field.weight.sum())
        return total / max(2 * weights, 1e-12)


def match(
    first: Sequence[Float[Tensor, "_ _ _"]],
    last: Sequence[Float[Tensor, "_ _ _"]],
) -> Matches:
    """Correspondences of two images by their features.

    Args:
        first, last: grids of features (channels, height, width), coarse to fine, at least one
            each; see :func:`look`.

    Raises:
        ValueError: no grids, or grids of different sizes.
    """
    if not first or [g.shape for g in first] != [g.shape for g in last]:
        raise ValueError(
            f"got grids of features {[tuple(g.shape) for g in first]} and "
            f"{[tuple(g.shape) for g in last]}; expected the same shapes for both images, and at "
            "least one"
        )
    found = _mutual(_closeness(first[0], last[0]), first[0].shape[1:], None)
    for f, g in zip(first[1:], last[1:], strict=True):
        size = f.shape[1:]
        coarse = [_refined(field, size) for field in found]
        fine = _mutual(_closeness(f, g), size, coarse)
        found = tuple(
            Field(a.displacement, a.weight + b.weight) for a, b in zip(fine, coarse, strict=True)
        )
    return Matches(*found)


def places(height: int, width: int) -> Float[Tensor, "cells 2"]:
    """Centres of the cells of a grid, line after line."""
    short = min(height, width)
    y = (torch.arange(height) + 0.5) * 2 / short - height / short
    x = (torch.arange(width) + 0.5) * 2 / short - width / short
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).reshape(-1, 2)


def _closeness(first: Tensor, last: Tensor) -> Tensor:
    """Cosine of the features of all cells of both images, less the reserve."""
    f, g = (normalize(x.flatten(1), dim=0) for x in (first, last))
    where = places(*first.shape[1:]).to(f)
    return f.mT @ g - RESERVE * torch.cdist(where, where)


def _mutual(
    closeness: Tensor, size: Sequence[int], coarse: Sequence[Field] | None
) -> tuple[Field, Field]:
    height, width = size
    where = places(height, width).to(closeness)
    cell = 2 / min(height, width)
    parts = []
    for k, table in enumerate((closeness, closeness.mT)):
        if coarse is not None:
            aim = where + coarse[k].displacement.reshape(-1, 2)
            table = table.masked_fill(torch.cdist(aim, where) > REACH, -2.0)
        parts.append(_best(table, where, cell))
    (there, to, distinct), (back, fro, counter) = parts
    fields = []
    for displacement, weight, index, other in (
        (there, distinct, to, fro),
        (back, counter, fro, to),
    ):
        missed = (where[other[index]] - where).norm(dim=-1) / (RETURN * cell)
        trust = weight * (-missed.square()).exp()
        fields.append(Field(displacement.reshape(height, width, 2), trust.reshape(height, width)))
    return fields[0], fields[1]


def _best(table: Tensor, where: Tensor, cell: float) -> tuple[Tensor, Tensor, Tensor]:
    """Displacement to the best match, placed between cells; its cell; how distinct it is."""
    best, index = table.max(1)
    off = torch.cdist(where[index], where)
    around = (table / TEMPERATURE).softmax(1) * (off < 1.45 * cell)
    around = around / around.sum(1, keepdim=True)
    rival = table.masked_fill(off < ELSEWHERE * cell, -2.0).max(1).values
    return around @ where - where, index, (best - rival).clamp(0, 1)


def _refined(field: Field, size: Sequence[int]) -> Field:
    """The same matches on a finer grid: every cell has those of the cell it lies in."""
    both = torch.cat([field.displacement, field.weight[..., None]], -1).permute(2, 0, 1)[None]
    fine = interpolate(both, size=tuple(size), mode="nearest")[0].permute(1, 2, 0)
    return Field(fine[..., :2], fine[..., 2])
