"""The interface of geometries: what one evaluation of the score tells about curves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.manifold import Manifold


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
    ) -> Field:
        """Everything about the points ``x`` with velocities ``v``. Cost: one score evaluation
        a point, one call."""

    @abstractmethod
    def speed(
        self,
        v: Float[Tensor, "*batch dim"],
        score: Float[Tensor, "*batch dim"],
        log_density: Float[Tensor, "*batch"],
    ) -> Float[Tensor, "*batch"]:
        """The metric's length of ``v`` where the density is exp(log_density)."""

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
    ) -> Float[Tensor, "*batch dim"]:
        """γ'' of the geodesic through x with velocity v. Cost: one score evaluation a point."""
        return self.field(t, x, v).acceleration


class Metric(Connection):
    """A connection that comes from an inner product; needs a density, not only a score."""

    @abstractmethod
    def inner(
        self,
        t: Float[Tensor, "*#batch"],
        x: Float[Tensor, "*batch dim"],
        u: Float[Tensor, "*batch dim"],
        v: Float[Tensor, "*batch dim"],
    ) -> Float[Tensor, "*batch"]:
        """The inner product g_x(u, v)."""
