r"""The schedule of flow matching and rectified flow: a straight line from image to noise.

$x_\sigma = (1 - \sigma) x_0 + \sigma \varepsilon$ with $\sigma \in [0, 1]$: $a = 1 - \sigma$,
$s = \sigma$ (Lipman et al., arXiv 2210.02747; Liu et al., arXiv 2209.03003). Time step $t$ is
$T \sigma$, whole or not.
"""

import math
from dataclasses import dataclass
from typing import final

from diffusion_geodesics.diffusion.schedule import NoiseSchedule


@final
@dataclass(frozen=True)
class FlowSchedule(NoiseSchedule):
    r"""$a = 1 - \sigma$, $s = \sigma$, with time step $T\sigma$.

    - `shift`: $k$ of $\sigma \mapsto k\sigma / (1 + (k - 1)\sigma)$, applied to an even grid of
      $\sigma$: more than 1 spends more steps on high noise (Esser et al., arXiv 2403.03206,
      equation 23). Resolution-dependent shifting is $k = e^\mu$ (or $\mu$ where the scheduler's
      `time_shift_type` is linear), see `dynamic_mu`. Only the grid depends on it.
    - `lowest`: $\sigma$ where the even grid ends before it is shifted; `None` for one over the
      number of steps, as Flux has it.
    - `terminal`: $\sigma$ to which the shifted grid is stretched, where a scheduler has
      `shift_terminal`.
    - `train_steps`: $T$, by which $\sigma$ is multiplied to give time steps.
    """

    shift: float = 1.0
    lowest: float | None = None
    terminal: float | None = None
    train_steps: int = 1000

    def __post_init__(self) -> None:
        if not (math.isfinite(self.shift) and self.shift > 0):
            raise ValueError(f"got a shift of {self.shift}; expected a number above 0")
        for name, value in (("lowest", self.lowest), ("terminal", self.terminal)):
            if value is not None and not 0.0 < value < 1.0:
                raise ValueError(f"got {name} sigma {value}; expected one in (0, 1), or None")
        if self.train_steps < 1:
            raise ValueError(f"got {self.train_steps} training time steps; expected 1 or more")

    def coefficients(self, timestep: float) -> tuple[float, float]:
        r"""$(1 - \sigma, \sigma)$ with $\sigma$ = `timestep` / T, for time steps 0 to T."""
        if not 0 <= timestep <= self.train_steps:
            raise ValueError(f"got time step {timestep}; this schedule has 0 to {self.train_steps}")
        return (self.train_steps - timestep) / self.train_steps, timestep / self.train_steps

    def timestep_at(self, ratio: float) -> float:
        r"""The time step where $\sigma / (1 - \sigma)$ is `ratio`, above 0; infinity gives T."""
        if not ratio > 0:
            raise ValueError(
                f"got a noise-to-signal ratio of {ratio:g}; this schedule has those above 0"
            )
        return self.train_steps / (1.0 + 1.0 / ratio)

    @property
    def clean(self) -> tuple[float, float]:
        return 1.0, 0.0

    def timesteps(self, steps: int) -> tuple[float, ...]:
        if steps < 1:
            raise ValueError(f"got {steps} steps; expected 1 or more")
        end = 1.0 / steps if self.lowest is None else self.lowest
        span = max(steps - 1, 1)
        even = [1.0 - k * (1.0 - end) / span for k in range(steps)]
        sigmas = [self.shift * sigma / (1.0 + (self.shift - 1.0) * sigma) for sigma in even]
        if self.terminal is not None and steps > 1:
            stretch = (1.0 - self.terminal) / (1.0 - sigmas[-1])
            sigmas = [1.0 - stretch * (1.0 - sigma) for sigma in sigmas]
        return tuple(self.train_steps * sigma for sigma in sigmas)


def dynamic_mu(
    tokens: int,
    *,
    base_tokens: int = 256,
    max_tokens: int = 4096,
    base_shift: float = 0.5,
    max_shift: float = 1.15,
) -> float:
    r"""$\mu$ of resolution-dependent shifting: linear in the number of image tokens.

    `base_shift` at `base_tokens` and `max_shift` at `max_tokens`; $e^\mu$ is the `shift` of a
    `FlowSchedule`. Tokens are what the transformer sees of the image: (H/16)(W/16) for Flux.
    """
    slope = (max_shift - base_shift) / (max_tokens - base_tokens)
    return base_shift + slope * (tokens - base_tokens)
