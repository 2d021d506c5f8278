r"""The space a curve lives in: flat, or a sphere (where Gaussian noise concentrates).

References
----------
Yu et al., CVPR 2025, section 3.4 (the sphere constraint); Absil et al., Optimization Algorithms
on Matrix Manifolds, 2008, chapter 5 (exp, log, projections).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def angle_between(x: Float[Tensor, "*batch dim"], y: Float[Tensor, "*batch dim"]) -> Tensor:
    """The angle of two vectors in [0, π], shape (*batch,); exact to rounding near 0 and π.

    Uses Kahan's atan2 form: acos of a dot product loses half the digits. Zero vectors give 0.
    """
    a, b = x * _norm(y), y * _norm(x)
    return 2 * torch.atan2(_norm(a - b), _norm(a + b)).squeeze(-1)


class Manifold(ABC):
    """A submanifold of flat space with its own geodesics."""

    @abstractmethod
    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """The nearest point of the manifold."""

    @abstractmethod
    def to_tangent(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        """The part of ``v`` that is tangent to the manifold at ``x``."""

    @abstractmethod
    def acceleration(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        """The second derivative of the manifold's own geodesic through x with velocity v."""

    @abstractmethod
    def exp(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        """Follow the manifold's geodesic from x with velocity v for unit time."""

    @abstractmethod
    def log(
        self, x: Float[Tensor, "*batch dim"], y: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        """A shortest tangent vector v at x with ``exp(x, v) = y``."""

    @property
    @abstractmethod
    def curvature(self) -> float:
        """Sectional curvature: 0 for flat space, 1/R² for a sphere."""


@dataclass(frozen=True)
class Flat(Manifold):
    """Flat space: geodesics are straight lines."""

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return x

    def to_tangent(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return v

    def acceleration(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return torch.zeros_like(x)

    def exp(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return x + v

    def log(
        self, x: Float[Tensor, "*batch dim"], y: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return y - x

    @property
    def curvature(self) -> float:
        return 0.0


@dataclass(frozen=True)
class Sphere(Manifold):
    """The sphere of radius R about the origin: geodesics are great circles.

    Args:
        radius: R > 0. Noised latents of dimension d concentrate near R = √d.
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        if not (self.radius > 0 and self.radius < float("inf")):
            raise ValueError(f"radius is {self.radius}; expected a positive finite number")

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return x * (self.radius / _norm(x))

    def to_tangent(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        square = x.square().sum(-1, keepdim=True).clamp_min(1e-30)
        return v - (v * x).sum(-1, keepdim=True) / square * x

    def acceleration(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return -self.curvature * v.square().sum(-1, keepdim=True) * x

    def exp(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        angle = _norm(v) / self.radius
        return x * angle.cos() + v * torch.sinc(angle / torch.pi)

    def log(
        self, x: Float[Tensor, "*batch dim"], y: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        """Antipodal points have many shortest directions: one is picked, always the same one."""
        angle = angle_between(x, y)[..., None]
        across = self.to_tangent(x, y)
        length = _norm(across)
        antipodal = (angle > 3) & (length <= 1e-12 * self.radius)
        across = torch.where(antipodal, self.to_tangent(x, _least_aligned_axis(x)), across)
        length = _norm(across)
        direction = torch.where(length > 0, across / length.clamp_min(1e-30), 0)
        return direction * angle * self.radius

    @property
    def curvature(self) -> float:
        return 1.0 / self.radius**2


def _least_aligned_axis(x: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(x.abs().argmin(-1), x.shape[-1]).to(x)
