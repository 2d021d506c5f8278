r"""Scores of a diffusion model at one noise level: deterministic and exact, $-\hat\varepsilon/s$.

No noise is drawn and nothing is averaged over time steps: the score at level $t$ is one
evaluation of the network. What ratios are scores *of* is said in each class. Scores
that are averaged over time steps are in `distilled`.
"""

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Int
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.diffusion.condition import Condition, ConditionCurve
from diffusion_geodesics.diffusion.denoiser import Denoiser
from diffusion_geodesics.diffusion.prediction import Rows
from diffusion_geodesics.points import Points, Times


@dataclass(frozen=True, eq=False)
class _AtLevel(Score):
    """A score made of the noises that the network predicts at one time step."""

    denoiser: Denoiser
    timestep: float
    condition: ConditionCurve

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        return replace(self, condition=self.condition.select(index))

    def __call__(self, t: Times, x: Points) -> Points:
        """The score at the points `x` with curve parameters `t`."""
        rows = x.reshape(-1, x.shape[-1])
        parameter = t.to(x.device, x.dtype).expand(x.shape[:-1]).reshape(-1)
        _, s = self.denoiser.schedule.coefficients(self.timestep)
        return (self._direction(parameter, rows) / s).reshape(x.shape)

    @abstractmethod
    def _direction(self, parameter: Tensor, rows: Rows) -> Rows:
        """The score times s."""


@final
@dataclass(frozen=True, eq=False)
class LevelScore(_AtLevel):
    r"""$\nabla \log p_t(x \mid c) = -\hat\varepsilon(x, t, c)/s_t$: one row a point.

    With the null condition (an empty prompt) this is the marginal score $\nabla \log p_t(x)$.
    A condition that changes along the path makes the density depend on the curve parameter.
    """

    @property
    def precision(self) -> float:
        r"""$1/s_t^2$: no density noised to this level is more curved across a ridge."""
        return self.denoiser.schedule.coefficients(self.timestep)[1] ** -2

    def _direction(self, parameter: Tensor, rows: Rows) -> Rows:
        return -self.denoiser.epsilon(rows, self.timestep, self.condition.at(parameter))


@final
@dataclass(frozen=True, eq=False)
class RatioScore(_AtLevel):
    r"""The score of $p_t(x \mid c)/p_t(x \mid c_-)$: $(\hat\varepsilon_- - \hat\varepsilon_c)/s$.

    A true function of the point, $\nabla \log$ of a ratio of two densities, which need not be
    normalisable; where both prompts say the same it vanishes and the metric is flat. It cancels
    the preference for smooth images that both densities share. Two rows a point, in one call.
    """

    negative: ConditionCurve

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        negative = self.negative.select(index)
        return replace(self, condition=self.condition.select(index), negative=negative)

    def _direction(self, parameter: Tensor, rows: Rows) -> Rows:
        both = Condition.stack([self.condition.at(parameter), self.negative.at(parameter)])
        noise = self.denoiser.epsilon(torch.cat([rows, rows]), self.timestep, both)
        given, without = noise.chunk(2)
        return without - given
