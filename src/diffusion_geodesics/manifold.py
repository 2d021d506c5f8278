r"""The space of a curve: flat, a sphere, or the typical shell of a density.

Gaussian noise in high dimension concentrates on a sphere. The typical shell of a density,
:math:`\{x : \sigma |s(x)| / \sqrt d = 1\}`, consists of the points at which noise of standard
deviation σ has its expected energy.

References:
    Yu et al., CVPR 2025, section 3.4 (the sphere constraint).
    Absil et al., Optimization Algorithms on Matrix Manifolds, 2008, chapter 5 (exp, log,
    projections).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from diffusion_geodesics.density import Score, evaluate
from diffusion_geodesics.points import Points, Values, norm


def angle_between(x: Points, y: Points) -> Values:
    """The angle of two vectors in [0, π], exact to rounding near 0 and π by Kahan's atan2 form; 0
    for a zero vector."""
    a, b = x * norm(y), y * norm(x)
    return 2 * torch.atan2(norm(a - b), norm(a + b)).squeeze(-1)


class Manifold(ABC):
    """A submanifold of flat space, with what boundary value solvers need."""

    @abstractmethod
    def project(self, x: Points) -> Points:
        """The nearest point of the manifold to points of flat space."""

    @abstractmethod
    def to_tangent(self, x: Points, v: Points) -> Points:
        """The part of vectors v at x that is tangent to the manifold."""

    @abstractmethod
    def acceleration(self, x: Points, v: Points) -> Points:
        """The second derivative of the manifold's own geodesic with velocity v at x."""

    @property
    @abstractmethod
    def curvature(self) -> float:
        """Sectional curvature: 0 for flat space, 1/R² for a sphere. It is 0 also where it is not
        known; curves are then interpolated in flat space, and solvers take more steps."""

    @property
    def spent(self) -> tuple[int, int]:
        """Score evaluations and batches that this manifold has used for its own points so far; none
        for one that needs no score."""
        return 0, 0


class SpaceForm(Manifold):
    """A manifold of constant curvature, whose geodesics are known in closed form."""

    @abstractmethod
    def exp(self, x: Points, v: Points) -> Points:
        """The end of the manifold's geodesic from x with initial velocity v after unit time."""

    @abstractmethod
    def log(self, x: Points, y: Points) -> Points:
        """A shortest tangent vector v at x with ``exp(x, v) = y``."""


@dataclass(frozen=True)
class Flat(SpaceForm):
    """Flat space: geodesics are straight lines."""

    def project(self, x: Points) -> Points:
        return x

    def to_tangent(self, x: Points, v: Points) -> Points:
        return v

    def acceleration(self, x: Points, v: Points) -> Points:
        return torch.zeros_like(x)

    def exp(self, x: Points, v: Points) -> Points:
        return x + v

    def log(self, x: Points, y: Points) -> Points:
        return y - x

    @property
    def curvature(self) -> float:
        return 0.0


@dataclass(frozen=True)
class Sphere(SpaceForm):
    """The sphere of radius R > 0 about the origin: geodesics are great circles.

    Noised latents of dimension d concentrate near R = √d. `ValueError` for another radius.
    """

    radius: float = 1.0

    def __post_init__(self) -> None:
        if not (self.radius > 0 and self.radius < float("inf")):
            raise ValueError(f"radius is {self.radius}; expected a positive finite number")

    def project(self, x: Points) -> Points:
        if x.shape[-1] < 2:
            raise ValueError(
                "got points of one coordinate on a sphere, which in one dimension is two points "
                "without a path between them; expected at least 2 coordinates, or Flat()"
            )
        return x * (self.radius / norm(x))

    def to_tangent(self, x: Points, v: Points) -> Points:
        square = x.square().sum(-1, keepdim=True).clamp_min(1e-30)
        return v - (v * x).sum(-1, keepdim=True) / square * x

    def acceleration(self, x: Points, v: Points) -> Points:
        return -self.curvature * v.square().sum(-1, keepdim=True) * x

    def exp(self, x: Points, v: Points) -> Points:
        angle = norm(v) / self.radius
        return x * angle.cos() + v * torch.sinc(angle / torch.pi)

    def log(self, x: Points, y: Points) -> Points:
        """As for every manifold; antipodal points have many shortest vectors, of which always the
        same is returned."""
        angle = angle_between(x, y)[..., None]
        across = self.to_tangent(x, y)
        length = norm(across)
        antipodal = (angle > 3) & (length <= 1e-12 * self.radius)
        axis = one_hot(x.abs().argmin(-1), x.shape[-1]).to(x)  # the least aligned one
        across = torch.where(antipodal, self.to_tangent(x, axis), across)
        length = norm(across)
        direction = torch.where(length > 0, across / length.clamp_min(1e-30), 0)
        return direction * angle * self.radius

    @property
    def curvature(self) -> float:
        return 1.0 / self.radius**2


def as_manifold(manifold: Manifold | None) -> Manifold:
    """A manifold, flat space by default; `TypeError` for anything but a manifold or None."""
    if manifold is None:
        return Flat()
    if not isinstance(manifold, Manifold):
        raise TypeError(
            f"got {manifold!r} as the manifold; expected an object such as Flat() or Sphere(radius)"
        )
    return manifold


def placed(x: Points, manifold: Manifold, name: str) -> Points:
    """A user's finite points, projected onto the manifold; `ValueError`, in which ``name`` names
    them, if one has no projection, such as the centre of a sphere."""
    points = manifold.project(x)
    if not bool(torch.isfinite(points).all()):
        raise ValueError(
            f"{name} holds a point that cannot be projected onto {manifold}, such as its centre; "
            "move it, or use Flat()"
        )
    return points


@dataclass
class _Cache:
    """The cost of a shell so far, and the normals it has computed last."""

    nfe: int = 0
    batches: int = 0
    known: list[tuple[Tensor, Tensor]] = field(default_factory=list)


@dataclass(frozen=True)
class TypicalShell(Manifold):
    r"""The typical set of a density smoothed by noise, :math:`\varphi(x) = \sigma |s(x)| / \sqrt d
    = 1`.

    For a Gaussian it is the sphere of radius σ√d about the mean. It is given by the score only, so
    it has no exp, no log and no known curvature. φ changes almost linearly along the score, so a
    point is projected by the secant method along its score; only for a Gaussian is the result the
    nearest point. The normal is :math:`\nabla\varphi \propto (\nabla s)^{\mathsf T} s`, and because
    :math:`\nabla s` is symmetric this is the derivative of the score along itself, a difference of
    two scores. A point where s = 0 (a mode) cannot be projected and is returned unchanged.

    Args:
        score: s, of a density that does not change with t.
        sigma: standard deviation σ > 0 of the noise; `ValueError` for others.
        tolerance: |φ - 1| to reach; by default 7e-11 in float64, 3e-5 in float32.
        steps: most secant steps of a projection.

    Cost: a projection takes 2 to 4 score evaluations per point, in as many batches; tangent vectors
        2 per point in 2 batches, once for the same points. ``spent`` counts them; ``solve_bvp``
        adds them.
    """

    score: Score
    sigma: float
    tolerance: float | None = None
    steps: int = 12
    _cache: _Cache = field(default_factory=_Cache, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not (self.sigma > 0 and self.sigma < float("inf")):
            raise ValueError(f"sigma is {self.sigma}; expected a positive finite number")

    def energy(self, x: Points) -> Values:
        """φ(x), which is 1 on the shell. Cost: 1 score evaluation per point, in one batch."""
        return self._energy(self._evaluate(x))

    def project(self, x: Points) -> Points:
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

    def to_tangent(self, x: Points, v: Points) -> Points:
        normal = self._normal(x)
        return v - (v * normal).sum(-1, keepdim=True) * normal

    def acceleration(self, x: Points, v: Points) -> Points:
        """Zero. A geodesic of the shell accelerates along the normal only, which boundary value
        solvers remove, and which would need second derivatives of the score."""
        return torch.zeros_like(x)

    @property
    def curvature(self) -> float:
        return 0.0

    @property
    def spent(self) -> tuple[int, int]:
        return self._cache.nfe, self._cache.batches

    def _energy(self, score: Tensor) -> Tensor:
        return self.sigma * torch.linalg.vector_norm(score, dim=-1) / math.sqrt(score.shape[-1])

    def _evaluate(self, x: Tensor) -> Tensor:
        self._cache.nfe += x[..., 0].numel()
        self._cache.batches += 1
        return evaluate(self.score, x.new_zeros(()), x)

    def _normal(self, x: Tensor) -> Tensor:
        for points, normal in self._cache.known:
            if points.shape == x.shape and points.dtype == x.dtype and torch.equal(points, x):
                return normal
        score = self._evaluate(x)
        size = norm(score).clamp_min(1e-30)
        reach = torch.finfo(x.dtype).eps ** 0.5 * self.sigma * math.sqrt(x.shape[-1])
        change = self._evaluate(x + reach * score / size) - score
        normal = change / norm(change).clamp_min(1e-30)
        self._cache.known[:] = [(x, normal), *self._cache.known][:4]
        return normal
