"""The distance of two points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diffusion_geodesics.bvp import BVPSolver, Result, Solution
from diffusion_geodesics.density import Score
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.points import ArrayLike


@dataclass(frozen=True)
class Distance:
    """A geodesic distance with its error bar.

    ``log_value`` is its natural logarithm, because an absolute distance, with p^-α, may overflow.
    """

    log_value: float
    relative_error: float  # error bar divided by the distance
    solution: Solution  # the geodesic

    @property
    def value(self) -> float:
        """The distance; infinite if it overflows."""
        try:
            return math.exp(self.log_value)
        except OverflowError:
            return math.inf

    @property
    def error(self) -> float:
        """Its error bar."""
        return self.value * self.relative_error

    @property
    def result(self) -> Result:
        """How the solver ended. If it is not ``ok`` the value is an upper bound."""
        return self.solution.result


def distance(
    score_or_density: Score | Callable[[Tensor], Tensor],
    x0: ArrayLike,
    x1: ArrayLike,
    *,
    log_density: tuple[float, float] | None = None,
    log_density_error: float = 0.0,
    alpha: float = 1.0,
    manifold: Manifold | None = None,
    solver: BVPSolver | None = None,
    tol: float = 1e-3,
    max_steps: int = 60,
    starts: int | None = None,
    seed: int = 0,
) -> Distance:
    r"""The geodesic distance of two points under :math:`(p/q)^{-2\alpha} I`.

    Args:
        score_or_density, x0, x1, alpha, manifold, solver, tol, max_steps, starts, seed: as for
            :func:`diffusion_geodesics.geodesic`; one pair of points.
        log_density: absolute log p(x0) and log p(x1) in nats, for the absolute distance (q = 1).
            By default q is the geometric mean of p(x0) and p(x1), so that distances of different
            pairs have different units.
        log_density_error: error of the mean of the two, in nats.

    Raises:
        ValueError: more than one pair, or an error of :func:`diffusion_geodesics.geodesic`.

    Cost:
        That of :func:`diffusion_geodesics.geodesic`.
    """
    geometry: dict[str, Any] = {"alpha": alpha, "manifold": manifold, "solver": solver}
    limits: dict[str, Any] = {"tol": tol, "max_steps": max_steps, "starts": starts, "seed": seed}
    solution = geodesic(score_or_density, x0, x1, **geometry, **limits)
    if solution.distance.ndim:
        raise ValueError("got a batch of pairs; expected one, or use distance_matrix")
    log_value = float(solution.distance.log())
    error = float(relative_error(solution))
    if log_density is not None:
        log_value -= 0.5 * alpha * sum(log_density)
        error += alpha * log_density_error
    return Distance(log_value, error, solution)


def relative_error(solution: Solution) -> Tensor:
    """Error bars divided by distances; 0 for identical points."""
    return torch.where(solution.length > 0, solution.distance_error / solution.length, 0)
