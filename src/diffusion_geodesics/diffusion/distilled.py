r"""Distilled scores: the network's noise, contrasted between prompts and averaged over a window.

With $x_t$ the latent carried to a time step of the window (see `window`) and the average taken
over its nodes,

$$s(x) = -\Bigl\langle g_t \bigl(w_c\, \hat\varepsilon(x_t, t, c) +
  w_0\, \hat\varepsilon(x_t, t, \varnothing) + w_-\, \hat\varepsilon(x_t, t, c_-) -
  w_\xi\, \kappa_t \xi / s_t \bigr) \Bigr\rangle.$$

With $g_t = a_t/(a_0 s_t)$ this is a gradient: of $\langle w_c \log p_t(x_t|c) + w_0 \log p_t(x_t)
+ w_- \log p_t(x_t|c_-)\rangle$, so what is followed is a product of powers of densities. Which one
each rule follows is said in its class.

References: Poole et al., arXiv 2209.14988 (SDS). Katzir et al., arXiv 2310.17590 (NFSD). Yu et
al., CVPR 2025, section 4 (the published estimate).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from jaxtyping import Int
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.diffusion.condition import Condition, ConditionCurve
from diffusion_geodesics.diffusion.denoiser import Denoiser
from diffusion_geodesics.diffusion.prediction import Rows
from diffusion_geodesics.diffusion.window import Node, Quadrature, carried
from diffusion_geodesics.points import Points, Times


@final
@dataclass(frozen=True)
class Contrast:
    """Weights of the noise given the condition, nothing, the negative, and of the noise added."""

    condition: float
    null: float
    negative: float
    added: float


class Distillation(ABC):
    """A rule that combines the network's noises under several prompts."""

    evaluations: ClassVar[int]
    """Rows that a point costs at one node: the prompts whose weight may differ from 0."""
    scaled: ClassVar[bool] = True
    """Whether the noise is divided by s and carried back to the level, as a score is."""

    @abstractmethod
    def contrast(self, a: float, s: float) -> Contrast:
        """The weights at a noise level."""


@final
@dataclass(frozen=True)
class SDS(Distillation):
    r"""Score distillation: $\hat\varepsilon(x_t, t, c) - \kappa_t\xi/s_t$; one row a node.

    The score of the density itself, p(x | c), smoothed over the window (its geometric mean
    over nodes). The noise that was added is subtracted, which changes nothing on average.
    """

    evaluations: ClassVar[int] = 1

    def contrast(self, a: float, s: float) -> Contrast:
        return Contrast(1.0, 0.0, 0.0, 1.0)


@final
@dataclass(frozen=True)
class NFSD(Distillation):
    r"""Noise-free score distillation; three rows a node, two where the latent is nearly clean.

    $\delta_D + w\,(\hat\varepsilon_c - \hat\varepsilon_\varnothing)$ with $\delta_D =
    \hat\varepsilon_\varnothing - \hat\varepsilon_-$, or $\hat\varepsilon_\varnothing$ alone where
    $s/a$ is below `clean`. The score of $p(x)/p(x|c_-) \cdot (p(x|c)/p(x))^w$: of a ratio, not
    of a density; nearly clean, of $p(x)\,(p(x|c)/p(x))^w$.

    - `weight`: w, 7.5 in the paper.
    - `clean`: noise-to-signal ratio; 0.73 is Stable Diffusion's time step 200.
    """

    evaluations: ClassVar[int] = 3

    weight: float = 7.5
    clean: float = 0.73

    def contrast(self, a: float, s: float) -> Contrast:
        return Contrast(self.weight, 1 - self.weight, -1.0 if s >= self.clean * a else 0.0, 0.0)


@final
@dataclass(frozen=True)
class Published(Distillation):
    r"""The published estimate $\frac12(\hat\varepsilon_- - \hat\varepsilon_c)$; two rows a node.

    Half the noise, **not** divided by s: the score of $p(x|c)/p(x|c_-)$ times s/2, so that the
    published α acts as α s/2 on the score of that ratio (0.453 α at noise level 0.6 of Stable
    Diffusion). It is the score of a ratio, not of p(x | c); where both prompts say the same it
    vanishes.
    """

    evaluations: ClassVar[int] = 2
    scaled: ClassVar[bool] = False

    def contrast(self, a: float, s: float) -> Contrast:
        return Contrast(0.5, 0.0, -0.5, 0.0)


@final
@dataclass(frozen=True, eq=False)
class DistilledScore(Score):
    """A distillation rule over a window of time steps; see the module and the rule.

    - `condition`, `null`, `negative`: c, the empty prompt and c₋; the last two may be None
      where the rule never asks for them.

    One call a node, with all prompts of all points in it: a network takes one time step a call.
    """

    denoiser: Denoiser
    quadrature: Quadrature
    rule: Distillation
    condition: ConditionCurve
    null: ConditionCurve | None = None
    negative: ConditionCurve | None = None

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        return replace(self, condition=self.condition.select(index))

    def __call__(self, t: Times, x: Points) -> Points:
        rows = x.reshape(-1, x.shape[-1])
        parameter = t.to(x.device, x.dtype).expand(x.shape[:-1]).reshape(-1)
        total = torch.zeros_like(rows)
        nodes = self.quadrature.nodes(rows)
        for node in nodes:
            total = total + self._at(node, parameter, rows)
        return (total / len(nodes)).reshape(x.shape)

    def _at(self, node: Node, parameter: Tensor, rows: Rows) -> Rows:
        schedule = self.denoiser.schedule
        a, s = schedule.coefficients(node.timestep)
        moved, ratio, kappa = carried(schedule, rows, self.quadrature.level, node)
        weights = self.rule.contrast(a, s)
        asked = [
            (getattr(weights, name), _given(getattr(self, name), name).at(parameter))
            for name in ("condition", "null", "negative")
            if getattr(weights, name) != 0.0
        ]
        noises = self.denoiser.epsilon(
            moved.repeat(len(asked), 1), node.timestep, Condition.stack([c for _, c in asked])
        ).chunk(len(asked))
        mixed = sum(w * e for (w, _), e in zip(asked, noises, strict=True))
        mixed = mixed - weights.added * kappa / s * node.noise
        return -(ratio / s) * mixed if self.rule.scaled else -mixed


def _given(curve: ConditionCurve | None, name: str) -> ConditionCurve:
    if curve is None:
        raise ValueError(f"this distillation compares with the {name} prompt; give its condition")
    return curve
