r"""Weights of log p: how much a conformal metric prefers dense regions.

A conformal metric is :math:`g_x = e^{-2 f(l)} I`, where l is the log density at x relative to a
stated reference and f a rising function: curves are shortest where f is large. A geodesic at
constant Euclidean speed obeys

.. math:: \gamma'' = -f'(l)\,|\gamma'|^2 P_\perp s(\gamma).

Only :math:`f(l) = \alpha l` needs no l: a shift of l then scales all lengths alike. Every other
weight needs l and so its reference, which along a curve is the mean of the log densities at its two
ends.

References
----------
Yu et al., CVPR 2025, equation 4 (:class:`Power`). Sorrenson et al., Learning Distances from Data
with Normalizing Flows and Score Matching, 2024 (an exponent that adapts to the dimension).
Béthune et al., Follow the Energy, Find the Path, 2025 (weights linear in the energy, -log p).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


class Weight(ABC):
    """f, in the factor exp(-f(l)) by which a conformal metric stretches lengths."""

    @abstractmethod
    def value(self, log_density: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """f(l), with l in nats relative to the reference."""

    @abstractmethod
    def slope(self, log_density: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """f'(l), continuous and not negative."""

    @property
    @abstractmethod
    def constant_slope(self) -> float | None:
        """f' where it is the same for every l, so that a score is enough; else None."""


@dataclass(frozen=True)
class Power(Weight):
    r"""Inverse density: :math:`f(l) = \alpha l`, lengths weighted by :math:`p^{-\alpha}`.

    Args:
        alpha: α ≥ 0; 1 is the paper's metric.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check("alpha", self.alpha, "(1 is the paper's metric)")

    @staticmethod
    def per_dimension(strength: float, dim: int) -> Power:
        """α = strength / dim: the same strength for models of different dimension, since log p
        varies by O(dim).

        Raises:
            ValueError: a negative strength, or dim below 1.
        """
        if dim < 1:
            raise ValueError(f"dim is {dim}; expected the number of coordinates, at least 1")
        _check("strength", strength, "(of order one)")
        return Power(strength / dim)

    def value(self, log_density: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.alpha * log_density

    def slope(self, log_density: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return torch.full_like(log_density, self.alpha)

    @property
    def constant_slope(self) -> float:
        return self.alpha


@dataclass(frozen=True)
class LogLinear(Weight):
    r"""Lengths weighted by a falling affine function of log p: :math:`e^{-f(l)} = 1 - b\,l`.

    Far tamer than a power where the density falls: l nats down cost a factor 1 + b|l|, not
    exp(α|l|). For small b l it is a power with α = b. The constant is 1 because any other only
    scales all lengths.

    Args:
        rate: b ≥ 0, per nat.

    The weight must stay positive: where l ≥ 1/b it is NaN, and a solver that gets there ends with
    ``Result.non_finite``. Take b below 1 over the largest gain of log p that you expect.
    """

    rate: float

    def __post_init__(self) -> None:
        _check("rate", self.rate, "per nat")

    def _factor(self, log_density: Tensor) -> Tensor:
        factor = 1 - self.rate * log_density
        return torch.where(factor > 0, factor, torch.nan)

    def value(self, log_density: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return -self._factor(log_density).log()

    def slope(self, log_density: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.rate / self._factor(log_density)

    @property
    def constant_slope(self) -> None:
        return None


@dataclass(frozen=True)
class Hinged(Weight):
    r"""A power that rewards no density above a cap: :math:`f(l) = \alpha \min(l, l_c)`, smoothed.

    f' is α below :math:`l_c - w`, 0 above :math:`l_c` and linear between, so that curves are those
    of :class:`Power` below and the manifold's own geodesics above. With the cap at 0 and l relative
    to the mean of the ends, a curve is paid for avoiding losses of density but not for becoming
    denser than its ends are.

    Args:
        alpha: α ≥ 0.
        cap: l_c in nats above the reference.
        width: w > 0 in nats, over which the reward fades.
    """

    alpha: float = 1.0
    cap: float = 0.0
    width: float = 1.0

    def __post_init__(self) -> None:
        _check("alpha", self.alpha, "(1 is the paper's metric)")
        if not math.isfinite(self.cap):
            raise ValueError(f"cap is {self.cap}; expected a finite number of nats")
        if not 0 < self.width < math.inf:
            raise ValueError(f"width is {self.width}; expected a positive finite number of nats")

    def value(self, log_density: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        below = (log_density - self.cap).clamp_max(0)
        into = (below + self.width).clamp_min(0)
        return self.alpha * (self.cap + below - into.square() / (2 * self.width))

    def slope(self, log_density: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        return self.alpha * ((self.cap - log_density) / self.width).clamp(0, 1)

    @property
    def constant_slope(self) -> None:
        return None


def as_weight(weight: Weight | float) -> Weight:
    """The weight itself, or a number α as ``Power(α)``."""
    return weight if isinstance(weight, Weight) else Power(float(weight))


def _check(name: str, value: float, meaning: str) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value}; expected a finite number ≥ 0 {meaning}")
