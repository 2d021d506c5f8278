r"""The predicted noise at every noise level, which is what the probability flow integrates.

Points are :math:`x = a y` with :math:`y = x_0 + \sigma \varepsilon`, and :math:`\sigma = s/a`. The
predicted noise is :math:`\hat\varepsilon(y, \sigma) = -\sigma \nabla_y \log p_\sigma(y)`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from torch import Tensor

from diffusion_geodesics.diffusion import Condition, Denoiser
from diffusion_geodesics.likelihood.jacobian import Rows

HIGHEST = 1000.0
"""Noise-to-signal ratio above which a noise level of a schedule is not used."""


class NoiseField(ABC):
    """The predicted noise at all noise-to-signal ratios σ."""

    @abstractmethod
    def noise(self, y: Rows, sigma: float) -> Rows:
        """The predicted noise ε̂(y, σ), differentiable if the network is."""

    @abstractmethod
    def scale(self, sigma: float) -> float:
        """The scale a in x = a y."""

    @property
    @abstractmethod
    def sigma_max(self) -> float:
        """The noise level at which the flow ends by default."""

    @abstractmethod
    def terminal_std(self, sigma: float) -> float:
        """Standard deviation of y at a noise level at which the data no longer matters."""


@final
@dataclass(frozen=True)
class ScoreNoise(NoiseField):
    r"""A plain score as the noise, :math:`\hat\varepsilon = -\sigma s`, with a = 1.

    Args:
        score: takes points (rows, dim) and σ, returns :math:`\nabla \log p_\sigma` in the same
            shape, where :math:`p_\sigma` is the data's density convolved with N(0, σ²I).
        highest: σ at which the flow ends, > 0.

    Raises:
        ValueError: ``highest`` is not positive and finite.
    """

    score: Callable[[Tensor, float], Tensor]
    highest: float = 80.0

    def __post_init__(self) -> None:
        if not 0 < self.highest < math.inf:
            raise ValueError(f"highest is {self.highest}; expected a positive finite noise level")

    def noise(self, y: Rows, sigma: float) -> Rows:
        value = self.score(y, sigma)
        if not isinstance(value, Tensor) or value.shape != y.shape:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"the score function returned {got} for points of shape {tuple(y.shape)}; "
                "expected a tensor of the same shape"
            )
        return -sigma * value.to(y.dtype)

    def scale(self, sigma: float) -> float:
        return 1.0

    @property
    def sigma_max(self) -> float:
        return self.highest

    def terminal_std(self, sigma: float) -> float:
        return sigma


@final
@dataclass(frozen=True, eq=False)
class DenoiserNoise(NoiseField):
    """A diffusion model's denoiser under one condition.

    Args:
        denoiser: the network with its schedule.
        condition: of one row; ``model.encode_prompt("")`` for p(x) itself.

    Raises:
        ValueError: the condition has several rows.
    """

    denoiser: Denoiser
    condition: Condition

    def __post_init__(self) -> None:
        if self.condition.rows != 1:
            raise ValueError(f"got a condition of {self.condition.rows} rows; expected one")

    def noise(self, y: Rows, sigma: float) -> Rows:
        timestep = self.denoiser.schedule.timestep_at(sigma)
        scaled = self.scale(sigma) * y
        return self.denoiser.epsilon(scaled, timestep, self.condition, differentiable=True)

    def scale(self, sigma: float) -> float:
        schedule = self.denoiser.schedule
        return schedule.coefficients(schedule.timestep_at(sigma))[0]

    @property
    def sigma_max(self) -> float:
        """The noisiest level of a sampler of 50 steps whose noise-to-signal ratio is below 1000."""
        schedule = self.denoiser.schedule
        pairs = [schedule.coefficients(timestep) for timestep in schedule.timesteps(50)]
        return next(s / a for a, s in pairs if s < HIGHEST * a)

    def terminal_std(self, sigma: float) -> float:
        """Standard deviation √(1 + σ²), because latents have unit variance; N(0, I) in x where
        a² + s² = 1."""
        return math.hypot(1.0, sigma)
