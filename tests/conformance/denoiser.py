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
    EpsilonPrediction,
    Network,
    NoiseSchedule,
    Prediction,
    SamplePrediction,
    VelocityPrediction,
)

PREDICTIONS: tuple[Prediction, ...] = (
    EpsilonPrediction(),
    VelocityPrediction(),
    SamplePrediction(),
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
        score = self.data.score(x, a, s, shift)
        epsilon, clean = -s * score, (x + s**2 * score) / a
        match self.prediction:
            case EpsilonPrediction():
                return epsilon
            case VelocityPrediction():
                return a * epsilon - s * clean
            case SamplePrediction():
                return clean
            case _:
                raise TypeError(type(self.prediction))


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


def exact_denoiser(
    prediction: Prediction, dim: int = 5, final_alpha_is_one: bool = True
) -> tuple[Denoiser, Gaussian, ExactNetwork]:
    """A perfect denoiser, its data and its network."""
    generator = torch.Generator().manual_seed(1)
    mean = torch.randn(dim, generator=generator, dtype=torch.float64)
    std = 0.3 + torch.rand(dim, generator=generator, dtype=torch.float64)
    data, schedule = Gaussian(mean, std), scaled_linear(final_alpha_is_one)
    network = ExactNetwork(ExactOutput(data, schedule, prediction), [])
    return Denoiser(network, schedule, prediction), data, network


def shifts(*values: float, dim: int = 5) -> Condition:
    """A condition of one row for each value: the shift of the mean."""
    rows = [torch.full((1, dim), value, dtype=torch.float64) for value in values]
    return Condition((torch.stack(rows),))
