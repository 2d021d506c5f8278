"""The interface of geometries: what one evaluation of the score says about curves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.shapes import Points, Times, Values

LogDensityOf: TypeAlias = Callable[[Tensor], Tensor]
"""Maps tangent scores at points, (*batch, dim), to the log density there relative to a stated
reference, (*batch,). A path or an integrator can provide it; a score alone cannot."""


@dataclass(frozen=True)
class Field:
    """What one evaluation of the score says about curves through given points.

    Args:
        score: tangent part of the score, shape (*batch, dim).
        acceleration: γ'' of the geodesic through (x, v), shape (*batch, dim).
        shift: c ≥ 0 such that the linearised geodesic equation across the curve is δ'' - c δ,
            shape (*batch,).
        advection: b such that the linearised equation has the term b δ', shape (*batch,).
    """

    score: Float[Tensor, "*batch dim"]
    acceleration: Float[Tensor, "*batch dim"]
    shift: Float[Tensor, "*batch"]
    advection: Float[Tensor, "*batch"]


class Connection(ABC):
    """What an Euler-Lagrange solver needs: a manifold and the acceleration of geodesics."""

    manifold: Manifold
    score: Score

    @abstractmethod
    def field(
        self, t: Times, x: Points, v: Points, log_density: LogDensityOf | None = None
    ) -> Field:
        """Score, acceleration and linearisation at the points ``x`` with velocities ``v``.

        Args:
            t: curve parameter in [0, 1].
            x, v: points, and velocities tangent to the manifold.
            log_density: gives the log density at ``x`` from the tangent scores there, for
                geometries that are not :attr:`scale_free`; else ``log_prob`` of their density.

        Raises:
            ValueError: the geometry depends on the log density, and neither ``log_density`` nor a
                :class:`Density` is given.

        Cost:
            :attr:`evaluations` score evaluations per point, in one batch.
        """

    @property
    def scale_free(self) -> bool:
        """Whether a constant added to log p leaves every geodesic unchanged and scales all lengths
        by one factor. Then a score is enough."""
        return True

    @property
    def evaluations(self) -> int:
        """Score evaluations per point of :meth:`field`."""
        return 1

    @abstractmethod
    def speed(self, v: Points, score: Points, log_density: Values) -> Values:
        """Metric length of velocities, with the tangent score and the log density (in nats,
        relative to the reference) at their points."""

    @abstractmethod
    def calibrated(
        self, t: Float[Tensor, " time"], x: Float[Tensor, "time *batch dim"]
    ) -> tuple[Connection, int]:
        """A connection that knows the curvature of its log density near a curve, and the score
        evaluations spent: 0 if the curvature was known, otherwise they were one batch."""

    @abstractmethod
    def select(self, index: Int[Tensor, " paths"]) -> Connection:
        """The connection for some paths of a batch; see :meth:`Score.select`."""

    def acceleration(
        self, t: Times, x: Points, v: Points, log_density: LogDensityOf | None = None
    ) -> Points:
        """γ'' of the geodesic through x with velocity v, at constant Euclidean speed."""
        return self.field(t, x, v, log_density).acceleration


class Metric(Connection):
    """A connection whose inner product can be evaluated at a point."""

    @abstractmethod
    def inner(self, t: Times, x: Points, u: Points, v: Points) -> Values:
        """The inner product g_x(u, v) of tangent vectors."""
