"""The interface of geometries: what one evaluation of the score tells about curves."""

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
"""From the tangent scores at points, (*batch, dim), to the log density there relative to a stated
reference, (*batch,): what a path or an integrator knows and a score alone does not."""


@dataclass(frozen=True)
class Field:
    """What one evaluation of the score tells about curves through given points.

    Args:
        score: tangent part of the score, shape (*batch, dim).
        acceleration: γ'' of the geodesic through (x, v), shape (*batch, dim).
        shift: c ≥ 0 such that the linearised geodesic equation reads δ'' - c δ across the
            curve, shape (*batch,).
        advection: b such that it reads δ'' + b δ' along the curve, shape (*batch,).
    """

    score: Float[Tensor, "*batch dim"]
    acceleration: Float[Tensor, "*batch dim"]
    shift: Float[Tensor, "*batch"]
    advection: Float[Tensor, "*batch"]


class Connection(ABC):
    """All that an Euler-Lagrange solver needs: a manifold, and the acceleration of geodesics."""

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
        """Everything about the points ``x`` with velocities ``v``.

        Args:
            t: curve parameter in [0, 1].
            x: points.
            v: velocities, tangent to the manifold.
            log_density: gives the log density at ``x`` from the tangent scores there, for
                geometries that depend on it (:attr:`scale_free` is false). Without it they take
                the density's own, and a score that has none raises a ValueError.

        Cost: :attr:`evaluations` score evaluations a point, one call.
        """

    @property
    def scale_free(self) -> bool:
        """Whether a constant added to log p changes no geodesic and scales all lengths alike, so
        that a score is enough."""
        return True

    @property
    def evaluations(self) -> int:
        """Score evaluations that :meth:`field` spends on a point."""
        return 1

    @abstractmethod
    def speed(
        self,
        v: Float[Tensor, "*batch dim"],
        score: Float[Tensor, "*batch dim"],
        log_density: Float[Tensor, "*batch"],
    ) -> Float[Tensor, "*batch"]:
        """The metric's length of ``v`` where the log density, relative to the reference, is
        ``log_density``."""

    @abstractmethod
    def calibrated(
        self, t: Float[Tensor, " time"], x: Float[Tensor, "time *batch dim"]
    ) -> tuple[Connection, int]:
        """A connection that knows the curvature of its density near the curve ``x``, and the
        score evaluations that this took (none if it was known)."""

    @abstractmethod
    def select(self, index: Int[Tensor, " paths"]) -> Connection:
        """The connection for some paths of a batch; see :meth:`Score.select`."""

    def acceleration(
        self,
        t: Float[Tensor, "*#batch"],
        x: Float[Tensor, "*batch dim"],
        v: Float[Tensor, "*batch dim"],
        log_density: LogDensityOf | None = None,
    ) -> Float[Tensor, "*batch dim"]:
        """γ'' of the geodesic through x with velocity v, at constant Euclidean speed; arguments
        and cost as those of :meth:`field`."""
        return self.field(t, x, v, log_density).acceleration


class Metric(Connection):
    """A connection whose inner product can be evaluated at a point, with what it was given: a
    density for conformal metrics, a score for Stein's."""

    @abstractmethod
    def inner(
        self,
        t: Float[Tensor, "*#batch"],
        x: Float[Tensor, "*batch dim"],
        u: Float[Tensor, "*batch dim"],
        v: Float[Tensor, "*batch dim"],
    ) -> Float[Tensor, "*batch"]:
        """The inner product g_x(u, v)."""
