"""How differently metrics rank the neighbours of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.distances import nearest_neighbours
from diffusion_geodesics.image_sets.settings import MetricName


@final
@dataclass(frozen=True)
class Agreement:
    """How far two metrics agree on the neighbours of n ≥ 3 images."""

    first: MetricName
    second: MetricName
    tau: float
    """Kendall's τ-b between the orders of the other images by distance, in [-1, 1]; the mean over
    images."""
    same_nearest: int
    """Images whose nearest one is the same under both."""


def rank_agreement(
    values: Mapping[MetricName, Float[Tensor, "images images"]],
) -> tuple[Agreement, ...]:
    """Every pair of metrics; none for fewer than three images, which have no order.

    References:
        Kendall, The treatment of ties in ranking problems, Biometrika 1945.
    """
    if any(len(square) < 3 for square in values.values()):
        return ()
    return tuple(
        Agreement(first, second, _tau(a, b), int((_nearest(a) == _nearest(b)).sum()))
        for (first, a), (second, b) in combinations(values.items(), 2)
    )


def _nearest(values: Tensor) -> Tensor:
    return nearest_neighbours(values.nan_to_num(torch.inf))[:, 0].cpu()


def _tau(first: Tensor, second: Tensor) -> float:
    from scipy.stats import kendalltau

    others = ~torch.eye(len(first), dtype=torch.bool)
    rows = zip(first.cpu(), second.cpu(), others, strict=True)
    found: list[Any] = [kendalltau(a[o].numpy(), b[o].numpy()) for a, b, o in rows]
    return sum(float(each.statistic) for each in found) / len(found)
