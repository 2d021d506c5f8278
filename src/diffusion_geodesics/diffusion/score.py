r"""Scores of a diffusion model at one noise level: deterministic and exact, $-\hat\varepsilon/s$.

No noise is drawn and nothing is averaged over time steps: the score at level $t$ is one
evaluation of the network. What guidance and ratios are scores *of* is said in each class. Scores
that are averaged over time steps are in `distilled`.
"""

from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.diffusion.condition import Condition, ConditionCurve
from diffusion_geodesics.diffusion.denoiser import Denoiser

__all__ = ["GuidedScore", "LevelScore", "RatioScore"]


@final
@dataclass(frozen=True, eq=False)
class LevelScore(Score):
    r"""$\nabla \log p_t(x \mid c) = -\hat\varepsilon(x, t, c)/s_t$: one row a point.

    With the null condition (an empty prompt) this is the marginal score $\nabla \log p_t(x)$.
    A condition that changes along the path makes the density depend on the curve parameter.
    """

    denoiser: Denoiser
    timestep: float
    condition: ConditionCurve

    @property
    def batches_per_call(self) -> int:
        """Batches that one call costs."""
        return 1

    @property
    def nfe_per_point(self) -> int:
        """Network evaluations that one point costs."""
        return 1

    @property
    def precision(self) -> float:
        r"""$1/s_t^2$: no density noised to this level is more curved across a ridge."""
        return self.denoiser.schedule.coefficients(self.timestep)[1] ** -2

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        """The score along some of several paths."""
        return replace(self, condition=self.condition.select(index))

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        """The score at the points `x` with curve parameters `t`."""
        parameter, rows = _flatten(t, x)
        epsilon = self.denoiser.epsilon(rows, self.timestep, self.condition.at(parameter))
        return _scaled(self.denoiser, self.timestep, -epsilon, x)


@final
@dataclass(frozen=True, eq=False)
class GuidedScore(Score):
    r"""Guided score: $-(\hat\varepsilon_- + w(\hat\varepsilon_c - \hat\varepsilon_-))/s$.

    At w = 1 the conditional score. **At any other weight this is the score of no true density**
    (the guided fields of different levels do not belong to one noised density): lengths and
    densities computed from it are labelled so, see `true_density`. Two rows a point, in one
    call; one row at w = 0 and w = 1.
    """

    denoiser: Denoiser
    timestep: float
    condition: ConditionCurve
    negative: ConditionCurve
    weight: float

    @property
    def batches_per_call(self) -> int:
        """Batches that one call costs."""
        return 1

    @property
    def nfe_per_point(self) -> int:
        """Network evaluations that one point costs."""
        return 1 if self.weight in (0.0, 1.0) else 2

    @property
    def true_density(self) -> bool:
        """Whether a probability density has this score."""
        return self.weight in (0.0, 1.0)

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        """The score along some of several paths."""
        curves = {name: getattr(self, name).select(index) for name in ("condition", "negative")}
        return replace(self, **curves)

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        """The guided score at the points `x` with curve parameters `t`."""
        parameter, rows = _flatten(t, x)
        if self.nfe_per_point == 1:
            alone = self.condition if self.weight == 1.0 else self.negative
            epsilon = self.denoiser.epsilon(rows, self.timestep, alone.at(parameter))
        else:
            given, without = _both(self, parameter, rows)
            epsilon = without + self.weight * (given - without)
        return _scaled(self.denoiser, self.timestep, -epsilon, x)


@final
@dataclass(frozen=True, eq=False)
class RatioScore(Score):
    r"""The score of $p_t(x \mid c)/p_t(x \mid c_-)$: $(\hat\varepsilon_- - \hat\varepsilon_c)/s$.

    A true function of the point, $\nabla \log$ of a ratio of two densities, which need not be
    normalisable; where both prompts say the same it vanishes and the metric is flat. It cancels
    the preference for smooth images that both densities share. Two rows a point, in one call.
    """

    denoiser: Denoiser
    timestep: float
    condition: ConditionCurve
    negative: ConditionCurve

    @property
    def batches_per_call(self) -> int:
        """Batches that one call costs."""
        return 1

    @property
    def nfe_per_point(self) -> int:
        """Network evaluations that one point costs."""
        return 2

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        """The score along some of several paths."""
        curves = {name: getattr(self, name).select(index) for name in ("condition", "negative")}
        return replace(self, **curves)

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        """The score of the ratio at the points `x` with curve parameters `t`."""
        given, without = _both(self, *_flatten(t, x))
        return _scaled(self.denoiser, self.timestep, without - given, x)


def _flatten(t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """(*#batch) and (*batch, dim) as (rows,) and (rows, dim)."""
    parameter = t.to(x.device, x.dtype).expand(x.shape[:-1]).reshape(-1)
    return parameter, x.reshape(-1, x.shape[-1])


def _both(
    score: GuidedScore | RatioScore, parameter: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Noise given the condition and given the negative one, from a single call."""
    conditions = [score.condition.at(parameter), score.negative.at(parameter)]
    epsilon = score.denoiser.epsilon(
        torch.cat([rows, rows]), score.timestep, Condition.stack(conditions)
    )
    given, without = epsilon.chunk(2)
    return given, without


def _scaled(denoiser: Denoiser, timestep: float, epsilon: Tensor, x: Tensor) -> Tensor:
    _, s = denoiser.schedule.coefficients(timestep)
    return (epsilon / s).reshape(x.shape)
