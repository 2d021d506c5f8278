r"""The schedule of EDM: noise is added and the signal stays, $x_\sigma = x_0 + \sigma\varepsilon$.

$a = 1$ and $s = \sigma$; the time step *is* $\sigma$ (Karras et al., arXiv 2206.00364). A network
that wants $\frac14 \ln \sigma$ is given it by its adapter.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import final

from diffusion_geodesics.diffusion.schedule import NoiseSchedule


@final
class SigmaSpacing(Enum):
    """How the noise levels of a sampler lie between the largest and the smallest."""

    KARRAS = "karras"
    r"""Even in $\sigma^{1/\rho}$."""
    EXPONENTIAL = "exponential"
    r"""Even in $\ln \sigma$."""


@final
@dataclass(frozen=True)
class EDMSchedule(NoiseSchedule):
    r"""$a = 1$, $s = \sigma$, with $\sigma$ as the time step.

    - `sigma_min`, `sigma_max`: the range that the model was trained for.
    - `rho`: exponent of Karras' grid, equation 5 of the paper.
    - `spacing`: the grid's rule.
    - `final_sigma`: noise that a *clean* latent is taken to have; 0, unless a scheduler's
      `final_sigmas_type` is `sigma_min`.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0
    spacing: SigmaSpacing = SigmaSpacing.KARRAS
    final_sigma: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.sigma_min < self.sigma_max < math.inf:
            raise ValueError(
                f"got sigmas from {self.sigma_min} to {self.sigma_max}; expected "
                "0 < sigma_min < sigma_max"
            )
        if not self.rho > 0:
            raise ValueError(f"got rho {self.rho}; expected a number above 0 (Karras: 7)")
        if not 0.0 <= self.final_sigma <= self.sigma_min:
            raise ValueError(
                f"got a final sigma of {self.final_sigma}; expected 0 to {self.sigma_min}"
            )

    def coefficients(self, timestep: float) -> tuple[float, float]:
        r"""$(1, \sigma)$ with $\sigma$ = `timestep`, from `sigma_min` to `sigma_max`."""
        return 1.0, self._demanded(timestep)

    def timestep_at(self, ratio: float) -> float:
        return self._demanded(ratio)

    @property
    def clean(self) -> tuple[float, float]:
        return 1.0, self.final_sigma

    def timesteps(self, steps: int) -> tuple[float, ...]:
        if steps < 1:
            raise ValueError(f"got {steps} steps; expected 1 or more")
        ramp = [k / max(steps - 1, 1) for k in range(steps)]
        if self.spacing is SigmaSpacing.EXPONENTIAL:
            low, high = math.log(self.sigma_min), math.log(self.sigma_max)
            sigmas = [math.exp(high + r * (low - high)) for r in ramp]
        else:
            low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
            sigmas = [(high + r * (low - high)) ** self.rho for r in ramp]
        return tuple(min(max(sigma, self.sigma_min), self.sigma_max) for sigma in sigmas)

    def _demanded(self, sigma: float) -> float:
        if not self.sigma_min <= sigma <= self.sigma_max:
            raise ValueError(
                f"got noise sigma {sigma:g}; this schedule has {self.sigma_min:g} to "
                f"{self.sigma_max:g}"
            )
        return float(sigma)
