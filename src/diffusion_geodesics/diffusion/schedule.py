r"""Noise schedules: how much of the signal is left at a time step.

A latent at time step $t$ is $x_t = a_t x_0 + s_t \varepsilon$ with $\varepsilon \sim N(0, I)$.
Three kinds cover the models there are: `DiscreteSchedule` ($a^2 + s^2 = 1$, tables of betas),
`FlowSchedule` ($a + s = 1$) and `EDMSchedule` ($a = 1$). Schedules are read from a scheduler's
*configuration*; what a scheduler has been set to meanwhile never enters.
"""

from abc import ABC, abstractmethod
from typing import final


class NoiseSchedule(ABC):
    """The noise levels of a model, named by the numbers its network is told: time steps."""

    @abstractmethod
    def coefficients(self, timestep: float) -> tuple[float, float]:
        """$(a, s)$ at `timestep`, in double precision; `ValueError` for one that there is not."""

    @abstractmethod
    def timestep_at(self, ratio: float) -> float:
        """The time step of noise-to-signal ratio $s/a$ = `ratio` (that is $\\sigma$ in Karras'
        coordinate $x/a$); `ValueError` outside the schedule's range."""

    @property
    @abstractmethod
    def clean(self) -> tuple[float, float]:
        """$(a, s)$ of a clean latent: the end of sampling and the start of inversion."""

    @abstractmethod
    def timesteps(self, steps: int) -> tuple[float, ...]:
        """The time steps that a sampler of `steps` steps visits, noisiest first."""

    @final
    def ladder(self, steps: int, level: float) -> tuple[float, ...]:
        r"""The time steps between a noise level and the clean end, noisiest first.

        `level` $\tau \in (0, 1]$ is the fraction of the `steps` sampling steps that lie between the
        clean latent and the level: the ladder has `round(level * steps)` rungs, at least one.
        Sampling walks down it and then to `clean`; inversion walks up the same rungs.
        """
        if not 0.0 < level <= 1.0:
            raise ValueError(f"got noise level {level}; expected a fraction in (0, 1]")
        rungs = max(1, round(level * steps))
        return self.timesteps(steps)[steps - rungs :]

    @final
    def timestep(self, steps: int, level: float) -> float:
        """The time step of noise level `level` on the grid of `steps` steps."""
        return self.ladder(steps, level)[0]
