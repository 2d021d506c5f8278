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
        self,
        t: Float[Tensor, "*#batch"],
        x: Float[Tensor, "*batch dim"],
        v: Float[Tensor, "*batch dim"],
        log_density: LogDensityOf | None = None,
    ) -> Field:
        """Score, acceleration and linearisation at the points ``x`` with velocities ``v``.

        Args:
            t: curve parameter in [0, 1].
            x: points.
            v: velocities, tangent to the manifold.
            log_density: gives the log density at ``x`` from the tangent scores there, for
                geometries that depend on it (those that are not :attr:`scale_free`). Without it
                such a geometry uses the density's own ``log_prob``.

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
    def speed(
        self,
        v: Float[Tensor, "*batch dim"],
        score: Float[Tensor, "*batch dim"],
        log_density: Float[Tensor, "*batch"],
    ) -> Float[Tensor, "*batch"]:
        """Metric length of velocities.

        Args:
            v: velocities.
            score: tangent score at their points.
            log_density: log density there relative to the reference, in nats.
        """

    @abstractmethod
    def calibrated(
        self, t: Float[Tensor, " time"], x: Float[Tensor, "time *batch dim"]
    ) -> tuple[Connection, int]:
        """A connection that knows the curvature of its log density near a curve.

        Args:
            t: parameters of the curve's points.
            x: points of the curve.

        Returns:
            The connection, and the score evaluations spent: 0 if the curvature was known,
            otherwise they were one batch.
        """

    @abstractmethod
    def select(self, index: Int[Tensor, " paths"]) -> Connection:
        """The connection for some paths of a batch; see :meth:`Score.select`.

        Args:
            index: flat indices of the paths.
        """

    def acceleration(
        self,
        t: Float[Tensor, "*#batch"],
        x: Float[Tensor, "*batch dim"],
        v: Float[Tensor, "*batch dim"],
        log_density: LogDensityOf | None = None,
    ) -> Float[Tensor, "*batch dim"]:
        """γ'' of the geodesic through x with velocity v, at constant Euclidean speed.

        Cost:
            :attr:`evaluations` score evaluations per point, in one batch.
        """
        return self.field(t, x, v, log_density).acceleration


class Metric(Connection):
    """A connection whose inner product can be evaluated at a point."""

    @abstractmethod
    def inner(
        self,
        t: Float[Tensor, "*#batch"],
        x: Float[Tensor, "*batch dim"],
        u: Float[Tensor, "*batch dim"],
        v: Float[Tensor, "*batch dim"],
    ) -> Float[Tensor, "*batch"]:
        """The inner product g_x(u, v).

        Args:
            t: curve parameter in [0, 1].
            x: points.
            u, v: tangent vectors at x.
        """
