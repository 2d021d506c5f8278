r"""The exact denoiser of a Gaussian, for every prediction type: what adapters are held against.

With $x_0 \sim N(m, \mathrm{diag}(\sigma^2))$ the noised latents are
$x_t \sim N(a m, a^2\sigma^2 + s^2)$, so that everything a denoiser is asked for is known.
"""

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from diffusion_geodesics.diffusion import (
    ChunkedBatches,
    Condition,
    Denoiser,
    DiscreteSchedule,
    EDMPrediction,
    EDMSchedule,
    EpsilonPrediction,
    FlowPrediction,
    FlowSchedule,
    Network,
    NoiseSchedule,
    Prediction,
    SamplePrediction,
    ScorePrediction,
    VelocityPrediction,
)

PREDICTIONS: tuple[Prediction, ...] = (
    EpsilonPrediction(),
    VelocityPrediction(),
    SamplePrediction(),
    ScorePrediction(),
    FlowPrediction(),
    EDMPrediction(sigma_data=0.7),
    EDMPrediction(sigma_data=1.3, sign=-1),
)


@final
@dataclass(frozen=True)
class Gaussian:
    """The data: N(mean + shift, diag(std^2)), with the shift given by the condition."""

    mean: Tensor
    std: Tensor

    def score(self, x: Tensor, a: float, s: float, shift: Tensor | float = 0.0) -> Tensor:
        """The exact score of the noised density."""
        return -(x - a * (self.mean + shift)) / self.variance(a, s)

    def variance(self, a: float, s: float) -> Tensor:
        """The variance of the noised density."""
        return a**2 * self.std**2 + s**2

    def clean(self, x: Tensor, a: float, s: float, shift: Tensor | float = 0.0) -> Tensor:
        """The mean of the clean data that could have become `x`."""
        mean = self.mean + shift
        return mean + a * self.std**2 * (x - a * mean) / self.variance(a, s)

    def flow(
        self, x: Tensor, start: tuple[float, float], end: tuple[float, float], shift: float = 0.0
    ) -> Tensor:
        """The exact probability flow from one noise level, (a, s), to another."""
        centred = (x - start[0] * (self.mean + shift)) / self.variance(*start).sqrt()
        return end[0] * (self.mean + shift) + centred * self.variance(*end).sqrt()


@final
@dataclass(frozen=True)
class ExactOutput:
    """What a perfect network of a prediction type would give for a Gaussian."""

    data: Gaussian
    schedule: NoiseSchedule
    prediction: Prediction

    def __call__(self, x: Tensor, timestep: float, shift: Tensor | float) -> Tensor:
        a, s = self.schedule.coefficients(timestep)
        return exact_output(self.data, self.prediction, x, a, s, shift)


def exact_output(
    data: Gaussian, prediction: Prediction, x: Tensor, a: float, s: float, shift: Tensor | float
) -> Tensor:
    """What a perfect network gives at `x`, by the definition of its prediction type."""
    score, clean = data.score(x, a, s, shift), data.clean(x, a, s, shift)
    epsilon = -s * score
    match prediction:
        case EpsilonPrediction():
            return epsilon
        case VelocityPrediction():
            return a * epsilon - s * clean
        case SamplePrediction():
            return clean
        case ScorePrediction():
            return score
        case FlowPrediction():
            return epsilon - clean
        case EDMPrediction(width, sign):
            skip = width**2 / (s**2 + width**2)
            return sign * (clean - skip * x) * (s**2 + width**2) ** 0.5 / (s * width)
        case _:
            raise TypeError(type(prediction))


@final
@dataclass(frozen=True)
class ExactNetwork(Network):
    """A perfect network; the condition's one part, (rows, 1, dim), shifts the mean.

    `seen` collects the number of rows of each call; `most` is the most rows a call takes.
    """

    output: ExactOutput
    seen: list[int]
    most: int = 256

    @property
    def dim(self) -> int:
        return self.output.data.mean.shape[0]

    @property
    def batches(self) -> ChunkedBatches:
        return ChunkedBatches(1, torch.device("cpu"), self.most)

    def __call__(self, x: Tensor, timestep: float, condition: Condition) -> Tensor:
        self.seen.append(x.shape[0])
        return self.output(x, timestep, condition.parts[0][:, 0])


def scaled_linear(final_alpha_is_one: bool = True) -> NoiseSchedule:
    """Stable Diffusion's schedule."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1 - betas, 0).tolist()
    return DiscreteSchedule(tuple(alphas), 1.0 if final_alpha_is_one else alphas[0], offset=1)


def schedule_for(prediction: Prediction, final_alpha_is_one: bool = True) -> NoiseSchedule:
    """A schedule that networks of a prediction type are trained on."""
    match prediction:
        case FlowPrediction():
            return FlowSchedule(shift=2.0)
        case EDMPrediction():
            return EDMSchedule(sigma_min=0.02, sigma_max=8.0)
        case _:
            return scaled_linear(final_alpha_is_one)


def exact_denoiser(
    prediction: Prediction, dim: int = 5, final_alpha_is_one: bool = True
) -> tuple[Denoiser, Gaussian, ExactNetwork]:
    """A perfect denoiser, its data and its network."""
    generator = torch.Generator().manual_seed(1)
    mean = torch.randn(dim, generator=generator, dtype=torch.float64)
    std = 0.3 + torch.rand(dim, generator=generator, dtype=torch.float64)
    data, schedule = Gaussian(mean, std), schedule_for(prediction, final_alpha_is_one)
    network = ExactNetwork(ExactOutput(data, schedule, prediction), [])
    return Denoiser(network, schedule, prediction), data, network


def shifts(*values: float, dim: int = 5) -> Condition:
    """A condition of one row for each value: the shift of the mean."""
    rows = [torch.full((1, dim), value, dtype=torch.float64) for value in values]
    return Condition((torch.stack(rows),))
