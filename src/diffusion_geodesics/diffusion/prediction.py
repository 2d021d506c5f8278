r"""What a network's output is, given the point $x = a x_0 + s \varepsilon$ it was shown."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

Rows = Float[Tensor, "rows dim"]
"""Flat latents, one a row."""


class Prediction(ABC):
    r"""What a network's output is, given the point $x = a x_0 + s \varepsilon$ it was shown."""

    @abstractmethod
    def epsilon(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        r"""The noise $\varepsilon$ that `output` means at `x`."""

    @abstractmethod
    def clean(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        """The clean latent $x_0$ that `output` means at `x`."""


@final
@dataclass(frozen=True)
class EpsilonPrediction(Prediction):
    r"""The output is the noise: $\varepsilon = o$, $x_0 = (x - s o) / a$."""

    def epsilon(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        return output

    def clean(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        return (x - s * output) / a


@final
@dataclass(frozen=True)
class VelocityPrediction(Prediction):
    r"""The output is $v = a\varepsilon - s x_0$: $\varepsilon = a v + s x$, $x_0 = a x - s v$."""

    def epsilon(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        return a * output + s * x

    def clean(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        return a * x - s * output


@final
@dataclass(frozen=True)
class SamplePrediction(Prediction):
    r"""The output is the clean latent: $x_0 = o$, $\varepsilon = (x - a o) / s$."""

    def epsilon(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        return (x - a * output) / s

    def clean(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        return output


@final
@dataclass(frozen=True)
class FlowPrediction(Prediction):
    r"""The output is $v = \varepsilon - x_0$, for $a + s = 1$: $\varepsilon = x + a v$,
    $x_0 = x - s v$. Nothing is divided by, so that pure noise ($a = 0$) is as good as the rest."""

    def epsilon(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        return x + a * output

    def clean(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        return x - s * output


@final
@dataclass(frozen=True)
class ScorePrediction(Prediction):
    r"""The output is $\nabla \log p$: $\varepsilon = -s o$, $x_0 = (x + s^2 o) / a$."""

    def epsilon(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        return -s * output

    def clean(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        return (x + s**2 * output) / a


@final
@dataclass(frozen=True)
class EDMPrediction(Prediction):
    r"""EDM's preconditioning, for $a = 1$: $x_0 = c_{skip} x + c_{out} o$.

    With $r^2 = s^2 + \sigma_{data}^2$: $c_{skip} = \sigma_{data}^2/r^2$ and
    $c_{out} = \pm s \sigma_{data}/r$, so that
    $\varepsilon = (s x / r \mp \sigma_{data} o) / r$, without cancellation at low noise (Karras
    et al., arXiv 2206.00364, table 1).

    - `sigma_data`: standard deviation of the data.
    - `sign`: of $c_{out}$; -1 for the `v_prediction` of diffusers' EDM schedulers.
    """

    sigma_data: float = 0.5
    sign: int = 1

    def __post_init__(self) -> None:
        if not self.sigma_data > 0 or self.sign not in (-1, 1):
            raise ValueError(
                f"got sigma_data {self.sigma_data} and sign {self.sign}; expected sigma_data above "
                "0 and sign 1 or -1"
            )

    def epsilon(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        r = math.hypot(s, self.sigma_data)
        return (s / r * x - self.sign * self.sigma_data * output) / r

    def clean(self, output: Rows, x: Rows, a: float, s: float) -> Rows:
        r = math.hypot(s, self.sigma_data)
        return (self.sigma_data / r) * (self.sigma_data / r * x + self.sign * s * output)
