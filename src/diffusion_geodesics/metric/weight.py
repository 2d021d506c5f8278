r"""Weights f of log p in a conformal metric :math:`g_x = e^{-2 f(l)} I`, with f increasing.

l is the log density relative to a reference. Only :math:`f(l) = \alpha l` does not need it: a
shift of l then scales all lengths by one factor. For every other weight the reference along a curve
is the mean of the log densities at its two ends.

References:
    Yu et al., CVPR 2025, equation 4 (:class:`Power`).
    Sorrenson et al., Learning Distances from Data with Normalizing Flows and Score Matching, 2024
    (an exponent that adapts to the dimension).
    Béthune et al., Follow the Energy, Find the Path, 2025 (weights linear in the energy -log p).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_geodesics.shapes import Values


class Weight(ABC):
    """The function f in the factor exp(-f(l)) of lengths."""

    @abstractmethod
    def value(self, log_density: Values) -> Values:
        """f(l), with l in nats relative to the reference."""

    @abstractmethod
    def slope(self, log_density: Values) -> Values:
        """f'(l), continuous and ≥ 0, per nat."""

    @property
    def constant_slope(self) -> float | None:
        """The value of f' if it is the same for every l, so that a score is enough; else None."""
        return None


@dataclass(frozen=True)
class Power(Weight):
    r"""Inverse density: :math:`f(l) = \alpha l`, lengths weighted by :math:`p^{-\alpha}`.

    Args:
        alpha: α ≥ 0; 1 is the paper's metric.

    Raises:
        ValueError: ``alpha`` is negative or not finite.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check("alpha", self.alpha, "(1 is the paper's metric)")

    @staticmethod
    def per_dimension(strength: float, dim: int) -> Power:
        """α = strength / dim, comparable between models because log p varies by O(dim).

        Raises:
            ValueError: ``strength`` is negative or ``dim`` below 1.
        """
        if dim < 1:
            raise ValueError(f"dim is {dim}; expected the number of coordinates, at least 1")
        _check("strength", strength, "(of order one)")
        return Power(strength / dim)

    def value(self, log_density: Values) -> Values:
        return self.alpha * log_density

    def slope(self, log_density: Values) -> Values:
        return torch.full_like(log_density, self.alpha)

    @property
    def constant_slope(self) -> float:
        return self.alpha


@dataclass(frozen=True)
class LogLinear(Weight):
    r"""Lengths weighted by a decreasing affine function of log p: :math:`e^{-f(l)} = 1 - b\,l`.

    Where the density is l nats below the reference, lengths grow by 1 + b|l| only, not by exp(α|l|)
    as for a power; for small b l it is a power with α = b. The weight must stay positive: where l ≥
    1/b it is NaN, and a solver that gets there ends with ``Result.non_finite``. Take b below 1 over
    the largest gain of log p that you expect.

    Args:
        rate: b ≥ 0, per nat.

    Raises:
        ValueError: ``rate`` is negative or not finite.
    """

    rate: float

    def __post_init__(self) -> None:
        _check("rate", self.rate, "per nat")

    def _factor(self, log_density: Tensor) -> Tensor:
        factor = 1 - self.rate * log_density
        return torch.where(factor > 0, factor, torch.nan)

    def value(self, log_density: Values) -> Values:
        return -self._factor(log_density).log()

    def slope(self, log_density: Values) -> Values:
        return self.rate / self._factor(log_density)


@dataclass(frozen=True)
class Hinged(Weight):
    r"""A power up to a cap of the log density: :math:`f(l) = \alpha \min(l, l_c)`, smoothed.

    f' is α below :math:`l_c - w`, 0 above :math:`l_c` and linear between. Geodesics are those of
    :class:`Power` below the cap and the manifold's own above it. With the cap at 0 and l relative
    to the mean of the ends, a path gains nothing from being denser than its ends.

    Args:
        alpha: α ≥ 0.
        cap: l_c in nats above the reference.
        width: w > 0 in nats, over which f' falls from α to 0.

    Raises:
        ValueError: ``alpha`` is negative, ``cap`` not finite, or ``width`` not positive.
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

    def value(self, log_density: Values) -> Values:
        below = (log_density - self.cap).clamp_max(0)
        into = (below + self.width).clamp_min(0)
        return self.alpha * (self.cap + below - into.square() / (2 * self.width))

    def slope(self, log_density: Values) -> Values:
        return self.alpha * ((self.cap - log_density) / self.width).clamp(0, 1)


def as_weight(weight: Weight | float) -> Weight:
    """A weight, from a weight or from a number."""
    if isinstance(weight, Weight):
        return weight
    if isinstance(weight, str) or not hasattr(weight, "__float__"):
        raise TypeError(
            f"alpha is {weight!r}; expected a number ≥ 0 or a Weight such as Power(0.1)"
        )
    return Power(float(weight))


def _check(name: str, value: float, meaning: str) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is {value}; expected a finite number ≥ 0 {meaning}")
