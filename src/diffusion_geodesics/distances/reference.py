r"""Reference densities of a distance.

The solver measures every pair with the density relative to the geometric mean of its two ends,
:math:`d_{ij} = \int (p/\sqrt{p_i p_j})^{-\alpha} |\gamma'|\,dt`. With another reference density q
the distance is

.. math:: d_{ij}\, \exp\left(-\alpha \left[\tfrac12 (l_i + l_j) - \log q\right]\right),
          \qquad l_i = \log p(x_i).

With one q for all pairs (:class:`CommonMean`, :class:`Absolute`) the distances are those of one
conformal metric, :math:`(p/q)^{-2\alpha} I`, and satisfy the triangle inequality. With a reference
of each pair's own (:class:`EndsMean`) every pair has its own unit of length and they need not.

Relative log densities are obtained from the paths: the line integral of each pair gives
:math:`\delta_{ij} \approx l_j - l_i`, and the least-squares solution over all pairs is
:math:`l_i = \frac1n \sum_j \delta_{ji}`, with mean zero. Its residual is the error: zero for an
exact score, but not for a network that is only approximately a gradient.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Levels:
    """Log densities of the points relative to a reference."""

    log_density: Float[Tensor, " points"]  # log p(x_i) - log q
    error: Float[Tensor, " points"]  # of each, in nats


class Reference(ABC):
    """The density that densities are relative to."""

    @abstractmethod
    def levels(self, log_ratio: Float[Tensor, "points points"]) -> Levels | None:
        """The log densities of all points, from δ_ij = log p(x_j) - log p(x_i) in nats along the
        path from i to j; None if every pair has its own reference."""


@final
@dataclass(frozen=True)
class EndsMean(Reference):
    """The geometric mean of the densities at the two ends of each pair; no triangle inequality."""

    def levels(self, log_ratio: Float[Tensor, "points points"]) -> Levels | None:
        return None


@final
@dataclass(frozen=True)
class CommonMean(Reference):
    """The geometric mean of the densities of all points: one metric, up to its unit of length."""

    def levels(self, log_ratio: Float[Tensor, "points points"]) -> Levels:
        level = log_ratio.mean(0)
        return Levels(level, disagreement(log_ratio) / math.sqrt(len(level)))


@final
@dataclass(frozen=True, eq=False)
class Absolute(Reference):
    """The reference density 1, for absolute log densities, as from ``likelihood.log_density``.

    Args:
        log_density: log p(x_i) in nats, shape (points,).
        error: of each, in nats; 0 by default.

    Raises:
        ValueError: a log density is not finite.
    """

    log_density: Float[Tensor, " points"]
    error: Float[Tensor, " points"] | None = None

    def __post_init__(self) -> None:
        if not bool(torch.isfinite(self.log_density).all()):
            raise ValueError("a log density is not finite; expected finite numbers, in nats")

    def levels(self, log_ratio: Float[Tensor, "points points"]) -> Levels:
        if len(self.log_density) != len(log_ratio):
            raise ValueError(
                f"got {len(self.log_density)} log densities for {len(log_ratio)} points"
            )
        level = self.log_density.to(log_ratio)
        error = torch.zeros_like(level) if self.error is None else self.error.to(log_ratio)
        return Levels(level, error)


def disagreement(log_ratio: Float[Tensor, "points points"]) -> Float[Tensor, " points"]:
    """Root mean square residual of the least-squares log densities, over the pairs of a point."""
    level = log_ratio.mean(0)
    left = log_ratio - (level[None, :] - level[:, None])
    others = max(1, len(level) - 1)
    return (left.square().sum(0) / others).sqrt()


def square(values: Tensor, pairs: Tensor, count: int, sign: int = 1) -> Tensor:
    """A symmetric (or, with sign -1, antisymmetric) matrix from the values of pairs (i, j)."""
    full = values.new_zeros(count, count)
    full[pairs[:, 0], pairs[:, 1]] = values
    return full + sign * full.T
