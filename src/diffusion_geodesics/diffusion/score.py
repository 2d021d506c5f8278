r"""Scores of a diffusion model at one noise level: deterministic and exact, $-\hat\varepsilon/s$.

No noise is drawn and nothing is averaged over time steps: the score at level $t$ is one
evaluation of the network. What guidance and ratios are scores *of* is said in each class. Scores
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

    def _noise(self, curve: ConditionCurve, parameter: Tensor, rows: Rows) -> Rows:
        return self.denoiser.epsilon(rows, self.timestep, curve.at(parameter))


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
        return -self._noise(self.condition, parameter, rows)


@dataclass(frozen=True, eq=False)
class _Contrasted(_AtLevel):
    """A score that compares the condition with a negative one: two rows a point, in one call."""

    negative: ConditionCurve

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        negative = self.negative.select(index)
        return replace(self, condition=self.condition.select(index), negative=negative)

    def _both(self, parameter: Tensor, rows: Rows) -> tuple[Rows, Rows]:
        """Noise given the condition and given the negative one."""
        both = Condition.stack([self.condition.at(parameter), self.negative.at(parameter)])
        given, without = self.denoiser.epsilon(torch.cat([rows, rows]), self.timestep, both).chunk(
            2
        )
        return given, without


@final
@dataclass(frozen=True, eq=False)
class GuidedScore(_Contrasted):
    r"""Guided score: $-(\hat\varepsilon_- + w(\hat\varepsilon_c - \hat\varepsilon_-))/s$.

    At w = 1 the conditional score. **At any other weight this is the score of no true density**
    (the guided fields of different levels do not belong to one noised density): lengths and
    densities computed from it are labelled so, see `true_density`. Two rows a point, in one
    call; one row at w = 0 and w = 1.
    """

    weight: float

    @property
    def true_density(self) -> bool:
        """Whether a probability density has this score."""
        return self.weight in (0.0, 1.0)

    def _direction(self, parameter: Tensor, rows: Rows) -> Rows:
        if self.true_density:
            alone = self.condition if self.weight == 1.0 else self.negative
            return -self._noise(alone, parameter, rows)
        given, without = self._both(parameter, rows)
        return -(without + self.weight * (given - without))


@final
@dataclass(frozen=True, eq=False)
class RatioScore(_Contrasted):
    r"""The score of $p_t(x \mid c)/p_t(x \mid c_-)$: $(\hat\varepsilon_- - \hat\varepsilon_c)/s$.

    A true function of the point, $\nabla \log$ of a ratio of two densities, which need not be
    normalisable; where both prompts say the same it vanishes and the metric is flat. It cancels
    the preference for smooth images that both densities share.
    """

    def _direction(self, parameter: Tensor, rows: Rows) -> Rows:
        given, without = self._both(parameter, rows)
        return without - given
