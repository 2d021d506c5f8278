r"""The space a curve lives in: flat, a sphere (where Gaussian noise concentrates), or the typical
shell of a density,

.. math:: \{x : \sigma |s(x)| / \sqrt d = 1\},

where noise of standard deviation σ has its expected energy.

References
----------
Yu et al., CVPR 2025, section 3.4 (the sphere constraint); Absil et al., Optimization Algorithms
on Matrix Manifolds, 2008, chapter 5 (exp, log, projections).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import Score


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def angle_between(x: Float[Tensor, "*batch dim"], y: Float[Tensor, "*batch dim"]) -> Tensor:
    """The angle of two vectors in [0, π], shape (*batch,); exact to rounding near 0 and π.

    Uses Kahan's atan2 form: acos of a dot product loses half the digits. Zero vectors give 0.
    """
    a, b = x * _norm(y), y * _norm(x)
    return 2 * torch.atan2(_norm(a - b), _norm(a + b)).squeeze(-1)


class Manifold(ABC):
    """A submanifold of flat space, as far as boundary value solvers need it."""

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

    @property
    @abstractmethod
    def curvature(self) -> float:
        """Sectional curvature: 0 for flat space, 1/R² for a sphere. 0 as well where it is not
        known: curves are then splined in flat space, and solvers take more steps."""

    @property
    def spent(self) -> tuple[int, int]:
        """Score evaluations and calls spent on this manifold's own points so far; none where it
        needs no score."""
        return 0, 0


class SpaceForm(Manifold):
    """A manifold of constant curvature, whose geodesics are known in closed form."""

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


@dataclass(frozen=True)
class Flat(SpaceForm):
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
class Sphere(SpaceForm):
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


@dataclass
class _Ledger:
    """What a shell has spent, and the normals it has computed last."""

    score_evals: int = 0
    calls: int = 0
    known: list[tuple[Tensor, Tensor]] = field(default_factory=list)


@dataclass(frozen=True)
class TypicalShell(Manifold):
    r"""The typical set of a density smoothed by noise,
    :math:`\varphi(x) = \sigma |s(x)| / \sqrt d = 1`.

    For a Gaussian it is the sphere of radius σ√d about the mean. It is known through the score
    only: no exp, no log, no curvature. Along the score φ changes almost linearly, so a point is
    projected by the secant method along its score; only for a Gaussian is that the nearest point.
    The normal is :math:`\nabla\varphi \propto (\nabla s)^{\mathsf T} s`, and because
    :math:`\nabla s` is symmetric this is the derivative of the score along itself, a difference of
    two scores. Where s = 0 (a mode) a point cannot be projected, and stays.

    Args:
        score: s, of a density that does not change with t.
        sigma: standard deviation σ > 0 of the noise.
        tolerance: |φ - 1| to reach; by default 7e-11 in float64, 3e-5 in float32.
        steps: most secant steps of a projection.

    Cost: a projection takes 2 to 4 score evaluations a point, in as many calls; tangent vectors 2
    a point in 2 calls, once for the same points. ``spent`` counts them; ``solve_bvp`` adds them.
    """

    score: Score
    sigma: float
    tolerance: float | None = None
    steps: int = 12
    _ledger: _Ledger = field(default_factory=_Ledger, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (self.sigma > 0 and self.sigma < float("inf")):
            raise ValueError(f"sigma is {self.sigma}; expected a positive finite number")

    def energy(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch"]:
        """φ(x), 1 on the shell. Cost: one score evaluation a point."""
        return self._energy(self._evaluate(x))

    def project(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        tolerance = self.tolerance or torch.finfo(x.dtype).eps ** 0.65
        direction = self._evaluate(x) * self.sigma**2
        before = self._energy(direction / self.sigma**2)
        share = torch.zeros_like(before)
        step = 1 - 1 / before.clamp_min(1e-6)
        step = torch.where((before - 1).abs() > tolerance, step.clamp(-1e4, 0.9), 0)
        for _ in range(self.steps):
            if not bool((step != 0).any()):
                break
            share = share + step
            after = self._energy(self._evaluate(x + share[..., None] * direction))
            slope = (after - before) / torch.where(step != 0, step, 1)
            far = ((after - 1).abs() > tolerance) & (step != 0) & (slope != 0)
            step = torch.where(far, (1 - after) / torch.where(far, slope, 1), 0)
            step = step.clamp(-1 - share.abs(), 1 + share.abs())
            before = after
        return x + share[..., None] * direction

    def to_tangent(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        normal = self._normal(x)
        return v - (v * normal).sum(-1, keepdim=True) * normal

    def acceleration(
        self, x: Float[Tensor, "*batch dim"], v: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        """Zero: a geodesic of the shell only accelerates along the normal, which boundary value
        solvers project away, and which would need second derivatives of the score."""
        return torch.zeros_like(x)

    @property
    def curvature(self) -> float:
        return 0.0

    @property
    def spent(self) -> tuple[int, int]:
        return self._ledger.score_evals, self._ledger.calls

    def _energy(self, score: Tensor) -> Tensor:
        return self.sigma * torch.linalg.vector_norm(score, dim=-1) / math.sqrt(score.shape[-1])

    def _evaluate(self, x: Tensor) -> Tensor:
        self._ledger.score_evals += x[..., 0].numel()
        self._ledger.calls += 1
        return self.score(x.new_zeros(()), x)

    def _normal(self, x: Tensor) -> Tensor:
        for points, normal in self._ledger.known:
            if points.shape == x.shape and points.dtype == x.dtype and torch.equal(points, x):
                return normal
        score = self._evaluate(x)
        size = _norm(score).clamp_min(1e-30)
        reach = torch.finfo(x.dtype).eps ** 0.5 * self.sigma * math.sqrt(x.shape[-1])
        change = self._evaluate(x + reach * score / size) - score
        normal = change / _norm(change).clamp_min(1e-30)
        self._ledger.known[:] = [(x, normal), *self._ledger.known][:4]
        return normal
