r"""Quadratures over a window of time steps: where a distilled score is evaluated.

A latent $x$ at the level $(a_0, s_0)$ is carried to a time step $t$ of the window by

$$x_t = \tfrac{a_t}{a_0} x + \kappa_t \xi, \qquad
  \kappa_t^2 = \max\bigl(0,\; s_t^2 - (a_t s_0 / a_0)^2\bigr), \quad \xi \sim N(0, I).$$

For noisier steps this is the forward process itself. For cleaner ones no noise can be taken away
without the network; the latent is only scaled to their signal, and carries more noise than its
time step says.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch

from diffusion_geodesics.diffusion.prediction import Rows
from diffusion_geodesics.diffusion.schedule import NoiseSchedule
from diffusion_geodesics.points import seeded_noise


@final
@dataclass(frozen=True)
class Node:
    """One time step of a quadrature, and the noise added to get there, (rows or 1, dim)."""

    timestep: float
    noise: Rows


class Quadrature(ABC):
    """Time steps about a level, equally weighted, with the noise for each."""

    level: float
    """The time step of the level."""

    @abstractmethod
    def nodes(self, x: Rows) -> list[Node]:
        """The nodes for a call with the latents `x`."""


@final
@dataclass(frozen=True)
class FixedWindow(Quadrature):
    """The same time steps and the same noise at every call and every point.

    What is averaged over it is a function of the point, so a solver can converge.

    - `level`: the time step of the level.
    - `timesteps`: of the nodes.
    - `seed`: of the noise, one vector a node.
    """

    level: float
    timesteps: tuple[float, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.timesteps:
            raise ValueError("got a window of no time steps; expected at least one")

    def nodes(self, x: Rows) -> list[Node]:
        noise = seeded_noise((len(self.timesteps), 1, x.shape[1]), self.seed, x)
        return [Node(t, n) for t, n in zip(self.timesteps, noise, strict=True)]

    @staticmethod
    def around(
        schedule: NoiseSchedule, steps: int, level: float, width: float, nodes: int, seed: int = 0
    ) -> "FixedWindow":
        """Equidistant levels from `level - width` to `level + width`, on the grid of `steps`.

        Levels are fractions of the sampling steps, as in `NoiseSchedule.ladder`; on Stable
        Diffusion's grid a width of 0.1 is 100 time steps. The window is cut off at the ends of
        the grid; one node is the level alone. `ValueError` for a width below 0 or no node.
        """
        if not 0.0 <= width < 1.0 or nodes < 1:
            raise ValueError(
                f"got a window of width {width} with {nodes} nodes; expected a width in [0, 1) "
                "and at least one node"
            )
        levels = np.linspace(level - width, level + width, nodes) if nodes > 1 else [level]
        steps_ = tuple(window_timestep(schedule, steps, float(each)) for each in levels)
        return FixedWindow(schedule.timestep(steps, level), steps_, seed)


@final
@dataclass(frozen=True)
class RandomWindow(Quadrature):
    """One random time step and fresh noise at every call: the published form.

    What a solver sees is different at each call, so it cannot converge; a fixed number of
    gradient steps is all that can be asked for. Seeded: a run can be repeated, a call cannot.

    - `level`: the time step of the level; `low`, `high`: ends of the window, in time steps.
    - `generator`: on the CPU; its state advances with each call.
    """

    level: float
    low: float
    high: float
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))

    def nodes(self, x: Rows) -> list[Node]:
        draw = float(torch.rand((), generator=self.generator, dtype=torch.float64))
        noise = seeded_noise(x.shape, self.generator, x)
        return [Node(self.low + draw * (self.high - self.low), noise)]


def window_timestep(schedule: NoiseSchedule, steps: int, level: float) -> float:
    """The time step of any level, linear between those of the grid and cut off at its ends."""
    grid = schedule.timesteps(steps)[::-1]
    return float(np.interp(level * steps, np.arange(1, steps + 1), grid))


def carried(
    schedule: NoiseSchedule, x: Rows, level: float, node: Node
) -> tuple[Rows, float, float]:
    r"""(x_t, a_t/a_0, \kappa_t): latents of a level at a node of the window."""
    a0, s0 = schedule.coefficients(level)
    a, s = schedule.coefficients(node.timestep)
    ratio = a / a0
    kappa = math.sqrt(max(0.0, s**2 - (ratio * s0) ** 2))
    return ratio * x + kappa * node.noise, ratio, kappa
