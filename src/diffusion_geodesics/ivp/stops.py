"""Where a ray ends before its parameter does: after a length, off the typical set.

A stop is a function of the state whose sign changes from negative to positive at the point looked
for. The loop locates that point by repeating the last step with shorter ones, as accurately as it
integrates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from diffusion_geodesics.ivp.integrator import State
from diffusion_geodesics.ivp.ray import RayResult
from diffusion_geodesics.shapes import PathPoints, PathValues


class Stop(ABC):
    """Ends a ray where a value changes from negative to positive, or where it starts with one that
    is not negative."""

    result: RayResult
    """The result of a ray that ends here."""

    needs_score: bool = False
    """Whether the value needs the score at the end of every step: one evaluation more per step."""

    @abstractmethod
    def value(self, state: State, score: PathPoints | None) -> PathValues:
        """The value: negative before the stop, positive after it; of rays, and of the score s at
        their points, not projected, if :attr:`needs_score`."""

    def select(self, rows: Int[Tensor, " rows"]) -> Stop:
        """The stop for some of the rays; the same object if it is the same for all."""
        return self


def _each(value: float | Tensor, like: Tensor) -> Tensor:
    """A number, or one for each ray."""
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).flatten().expand(like.shape)


def _some(value: float | Tensor, rows: Tensor) -> float | Tensor:
    if not isinstance(value, Tensor) or value.numel() == 1:
        return value
    return value.flatten()[rows.to(value.device)]


@dataclass(frozen=True)
class _AfterSome(Stop):
    length: float | Tensor

    def __post_init__(self) -> None:
        tensor = torch.as_tensor(self.length)
        if not bool((torch.isfinite(tensor) & (tensor >= 0)).all()):
            raise ValueError(f"length is {self.length}; expected finite numbers ≥ 0")

    def select(self, rows: Int[Tensor, " rows"]) -> Stop:
        return replace(self, length=_some(self.length, rows))


class AfterLength(_AfterSome):
    """After a metric length ≥ 0, with the density relative to the start; one number or one per
    ray, shape (*batch,). ValueError if it is negative or not finite."""

    result = RayResult.length_reached

    def value(self, state: State, score: PathPoints | None) -> PathValues:
        return state.length - _each(self.length, state.length)


class AfterArc(_AfterSome):
    """After a Euclidean length ≥ 0, one number or one per ray, shape (*batch,). ValueError if it is
    negative or not finite."""

    result = RayResult.arc_reached

    def value(self, state: State, score: PathPoints | None) -> PathValues:
        return state.arc - _each(self.length, state.arc)


def _check_band(low: float, high: float) -> None:
    if not 0 <= low < high:
        raise ValueError(f"the band is [{low}, {high}]; expected 0 ≤ low < high")


@dataclass(frozen=True)
class LeavesTypicalSet(Stop):
    r"""Where the noise energy :math:`\sigma |s| / \sqrt d` leaves a band about 1.

    In the typical set of noised data it is about 1. A ray that starts outside ends at its start.

    Args:
        sigma: σ > 0, the noise of the density; 1/√precision of the score if that is known.
        low, high: the band, 0 ≤ low < high.

    Raises:
        ValueError: ``sigma`` is not positive, or the band is empty.

    Cost:
        1 score evaluation more per ray and step.
    """

    sigma: float
    low: float = 0.8
    high: float = 1.2
    result = RayResult.left_typical_set
    needs_score = True

    def __post_init__(self) -> None:
        _check_band(self.low, self.high)
        if not self.sigma > 0:
            raise ValueError(f"sigma is {self.sigma}; expected a positive noise")

    def value(self, state: State, score: PathPoints | None) -> PathValues:
        if score is None:
            raise ValueError("got no score; expected the score at the points of the state")
        energy = self.sigma * torch.linalg.vector_norm(score, dim=-1) / score.shape[-1] ** 0.5
        return torch.maximum(energy - self.high, self.low - energy)


@dataclass(frozen=True)
class LeavesNorms(Stop):
    """Where the norm of the points leaves a band. A ray that starts outside ends at its start.

    Args:
        low, high: the band, 0 ≤ low < high; noised latents have norms near √d.

    Raises:
        ValueError: the band is empty.
    """

    low: float
    high: float
    result = RayResult.left_norms

    def __post_init__(self) -> None:
        _check_band(self.low, self.high)

    def value(self, state: State, score: PathPoints | None) -> PathValues:
        norm = torch.linalg.vector_norm(state.x, dim=-1)
        return torch.maximum(norm - self.high, self.low - norm)
