"""The mean of arrays under the metamorphosis distance, and nearest neighbours."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.distances.frechet import normalised_weights
from diffusion_geodesics.distances.metamorphosis import Metamorphosis
from diffusion_geodesics.points import ArrayLike


def metamorphosis_mean(
    metric: Metamorphosis,
    arrays: Float[Tensor, "arrays channels *grid"],
    *,
    weights: ArrayLike | None = None,
    rounds: int = 8,
) -> tuple[Float[Tensor, "channels *grid"], Float[Tensor, " arrays"]]:
    """The Fréchet mean of arrays, and its distances from them.

    Starts from the array that is nearest to all others. In each round the arrays are carried to the
    frame of the mean, averaged there, and the frame moves by the mean of the displacements; the
    best round is kept.

    Raises:
        ValueError: no arrays, weights that do not fit (≥ 0, equal by default), or rounds below 0.

    Cost:
        All pairs once, and n distances in each round.
    """
    if rounds < 0:
        raise ValueError(f"got {rounds} rounds; expected 0 (the nearest array) or more")
    share, nearest = normalised_weights(weights, arrays), 0
    if len(arrays) > 1:
        nearest = int((metric.matrix(arrays).values.square() @ share).argmin())
    one = replace(metric, segments=1)
    grid = one.grid_of(arrays)
    mean, fields = arrays[nearest], None
    tried: list[tuple[Tensor, Tensor]] = []
    for _ in range(rounds + 1):
        found = one.between(mean.expand_as(arrays), arrays, fields)
        tried.append((mean, found.value.detach()))
        m = found.coefficients
        fields = m - torch.tensordot(share, m, dims=1)
        carried = grid.sample(arrays, grid.points + grid.fields(fields[:, 0]))
        mean = torch.tensordot(share, carried, dims=1)
    return min(tried, key=lambda one: float(share @ one[1].square()))


def nearest_neighbours(
    distances: Float[Tensor, "points points"], count: int = 1
) -> Int[Tensor, "points count"]:
    """The nearest other points of each point, nearest first; fewer than all points."""
    if not 1 <= count < len(distances):
        raise ValueError(f"count is {count} for {len(distances)} points; expected 1 or more, fewer")
    others = distances + torch.diag(distances.new_full((len(distances),), torch.inf))
    return others.argsort(dim=1, stable=True)[:, :count]
