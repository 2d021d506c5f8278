"""A model of arrays at one noise level: what geodesics between arrays of any shape need."""

import warnings
from dataclasses import dataclass
from typing import final

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion import (
    Condition,
    Denoiser,
    LevelScore,
    invert,
    noise_caution,
    noise_scale,
    sample,
)
from diffusion_geodesics.points import ArrayLike, as_points


class NoiseWarning(UserWarning):
    """Inverted arrays do not carry the noise of their level."""


@final
@dataclass(frozen=True, eq=False)
class ArrayLevel:
    r"""A model at a noise level :math:`x = a x_0 + s \varepsilon`, with arrays of a shape as clean
    points, under a condition of one row. ``steps`` and ``level`` are the sampler's grid, and how
    many of its steps lie below the level.

    >>> at = from_score(score, (2, 100)).at(0.4)
    >>> x = at.noised(arrays)                                   # (arrays, 200)
    >>> path = dg.geodesic(at.score, x[0], x[1], alpha=1 / 200).path
    >>> between = at.clean(path(torch.linspace(0, 1, 9)))       # (9, 2, 100)
    """

    denoiser: Denoiser
    shape: tuple[int, ...]
    condition: Condition
    steps: int
    level: float

    def __post_init__(self) -> None:
        _ = self.score  # checks the level

    @property
    def score(self) -> LevelScore:
        """The score of the noised density, for every function that takes one."""
        timestep = self.denoiser.schedule.timestep(self.steps, self.level)
        return LevelScore(self.denoiser, timestep, self.condition)

    @property
    def coefficients(self) -> tuple[float, float]:
        """(a, s): signal and noise."""
        return self.denoiser.schedule.coefficients(self.score.timestep)

    def noised(
        self, arrays: ArrayLike, *, refinements: int = 2, start_noise: float = 0.0
    ) -> Float[Tensor, "arrays dim"]:
        """Arrays (arrays, *shape), or one, at the level, by the deterministic sampler run
        backwards.

        `NoiseWarning` if what comes out does not have the noise of the level; `ValueError` for
        arrays of another shape, or that are not finite. Cost: one evaluation an array and step up
        to the level, and those refined.

        Args:
            refinements: most further fixed-point iterations at each step.
            start_noise: noise-to-signal ratio of noise put on the arrays first, for functions that
                find none in clean data.
        """
        points = as_points(arrays, "arrays")
        if points.shape[-len(self.shape) :] != self.shape or points.ndim > len(self.shape) + 1:
            raise ValueError(
                f"got arrays of shape {tuple(points.shape)}; expected {self.shape}, or several of "
                "them along a first axis"
            )
        clean = points.reshape(-1, self.denoiser.network.dim)
        x = invert(
            self.denoiser,
            clean,
            self.condition,
            steps=self.steps,
            level=self.level,
            refinements=refinements,
            start_noise=start_noise,
        )
        caution = noise_caution(noise_scale(clean, x, *self.coefficients))
        if caution:
            warnings.warn(caution, NoiseWarning, stacklevel=2)
        return x

    def clean(self, latents: Float[Tensor, "arrays dim"]) -> Tensor:
        """Latents of the level denoised to arrays, shape (arrays, *shape). Cost: one evaluation an
        array and step."""
        flat = sample(self.denoiser, latents, self.condition, steps=self.steps, level=self.level)
        return flat.unflatten(1, self.shape)
