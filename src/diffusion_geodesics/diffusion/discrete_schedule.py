r"""The schedules of models trained on time steps $0 \dots T-1$ with a table of betas.

$a_t = \sqrt{\bar\alpha_t}$ and $s_t = \sqrt{1 - \bar\alpha_t}$: variance-preserving.
"""

import bisect
import math
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import final

from diffusion_geodesics.diffusion.schedule import NoiseSchedule


@final
class Spacing(Enum):
    """How sampling steps are spread over the training time steps: the three rules of Lin et al.
    (arXiv 2305.08891, table 2), as `diffusers` rounds them."""

    LEADING = "leading"
    TRAILING = "trailing"
    LINSPACE = "linspace"


@final
@dataclass(frozen=True)
class DiscreteSchedule(NoiseSchedule):
    r"""A variance-preserving schedule on time steps $0 \dots T-1$.

    - `alphas_cumprod`: $\bar\alpha_t$, falling, of length $T$.
    - `final_alpha`: $\bar\alpha$ that a *clean* latent is taken to have. 1 where the scheduler's
      `set_alpha_to_one` holds (the clean latent is noise-free); $\bar\alpha_0$ where it does not
      (Stable Diffusion: what the autoencoder gives is taken to be at time step 0).
    - `spacing`, `offset`: which time steps a sampler of n steps visits.
    """

    alphas_cumprod: tuple[float, ...]
    final_alpha: float = 1.0
    spacing: Spacing = Spacing.LEADING
    offset: int = 0

    def __post_init__(self) -> None:
        if not self.alphas_cumprod:
            raise ValueError("got an empty schedule; alphas_cumprod needs one value a time step")
        values = (*self.alphas_cumprod, self.final_alpha)
        if not all(0.0 <= value <= 1.0 for value in values):
            raise ValueError("got a cumulative alpha outside [0, 1]; check the scheduler's betas")

    def coefficients(self, timestep: float) -> tuple[float, float]:
        r"""$(a_t, s_t)$ at `timestep`, 0 to $T-1$, in double precision.

        Between whole time steps $\log(s/a)$ is interpolated linearly.
        """
        if not 0 <= timestep <= len(self.alphas_cumprod) - 1:
            raise ValueError(
                f"got time step {timestep}; this schedule has 0 to {len(self.alphas_cumprod) - 1}"
            )
        below = math.floor(timestep)
        if below == timestep:
            return _pair(self.alphas_cumprod[below])
        low, high = self._log_ratios[below : below + 2]
        ratio = math.exp(low + (timestep - below) * (high - low))
        return 1 / math.hypot(1, ratio), ratio / math.hypot(1, ratio)

    def timestep_at(self, ratio: float) -> float:
        """The time step, in general between two whole ones, where $s/a$ is `ratio`."""
        logs = self._log_ratios
        if not (ratio > 0 and logs[0] <= math.log(ratio) <= logs[-1]):
            raise ValueError(
                f"got a noise-to-signal ratio of {ratio:g}; this schedule has "
                f"{math.exp(logs[0]):.4g} to {math.exp(logs[-1]):.4g}"
            )
        wanted = math.log(ratio)
        above = min(max(bisect.bisect_left(logs, wanted), 1), len(logs) - 1)
        low, high = logs[above - 1], logs[above]
        return above - 1 + (wanted - low) / (high - low)

    @cached_property
    def _log_ratios(self) -> tuple[float, ...]:
        """log(s/a) at every time step that has signal and noise; it rises."""
        pairs = [_pair(alpha) for alpha in self.alphas_cumprod]
        return tuple(
            math.log(s / a) if a > 0 < s else math.inf * (1 if s else -1) for a, s in pairs
        )

    @property
    def clean(self) -> tuple[float, float]:
        return _pair(self.final_alpha)

    def timesteps(self, steps: int) -> tuple[int, ...]:
        train = len(self.alphas_cumprod)
        if not 1 <= steps <= train:
            raise ValueError(f"got {steps} steps; expected 1 to {train}, the training time steps")
        if self.spacing is Spacing.LEADING:
            ratio = train // steps
            grid = [k * ratio + self.offset for k in range(steps)][::-1]
        elif self.spacing is Spacing.TRAILING:
            grid = [round(train - k * train / steps) - 1 for k in range(steps)]
        else:
            span = max(steps - 1, 1)
            grid = [round(k * (train - 1) / span) for k in range(steps)][::-1]
        if grid[0] >= train:
            raise ValueError(
                f"got {steps} steps with offset {self.offset}: the first would be time step "
                f"{grid[0]} of {train}; take fewer steps"
            )
        return tuple(grid)


def _pair(alpha: float) -> tuple[float, float]:
    return math.sqrt(alpha), math.sqrt(1.0 - alpha)
