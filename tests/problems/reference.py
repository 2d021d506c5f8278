"""The reference problems: geodesics whose length is known, exactly or to all digits given.

Lengths are relative to the start: the weight p^-α is 1 there. Gaussian and von Mises-Fisher lengths
come from quadrature of the conserved angular momentum; those of mixtures from a converged
collocation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import (
    Density,
    Gaussian,
    GaussianMixture,
    HalfPlane,
    VonMisesFisher,
)
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from tests.problems.families import Problem

SMOOTH_EVALS = 520
"""Most score evaluations that the comparison of solvers needed on its smooth problems."""

STRONG_EVALS = 1300
"""The same on strong barriers."""


@dataclass(frozen=True)
class Reference:
    """A problem with its exact length.

    Args:
        name: of the problem.
        make: builds it.
        length: exact length, relative to the start.
        digits: relative accuracy of ``length`` itself.
        strong: whether the barrier α Δlog p is large.
    """

    name: str
    make: Callable[[], Problem]
    length: float
    digits: float = 1e-7
    strong: bool = False

    @property
    def tolerance(self) -> float:
        """Relative error of the length that is allowed."""
        return 1e-2 if self.strong else 1e-5

    @property
    def published_evals(self) -> int:
        """Score evaluations that the comparison of solvers needed on such problems."""
        return STRONG_EVALS if self.strong else SMOOTH_EVALS


@dataclass(frozen=True)
class Stereographic(Density):
    r""":math:`p(x) = (1 + |x|^2) / 2` (not normalisable): with α = 1 the unit sphere, seen by
    stereographic projection, so that geodesics are great circles."""

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        return 2 * x / (1 + x.square().sum(-1, keepdim=True))

    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        return ((1 + x.square().sum(-1)) / 2).log()


def stereographic_distance(x0: Tensor, x1: Tensor) -> float:
    """Angle between two points of the unit sphere given by their projections."""
    chord = (x1 - x0).norm() / ((1 + x0.square().sum()) * (1 + x1.square().sum())).sqrt()
    return 2 * math.asin(float(chord))


def hyperbolic_distance(x0: Tensor, x1: Tensor) -> float:
    """Distance in the half-plane model of the hyperbolic plane."""
    return math.acosh(1 + float((x1 - x0).square().sum() / (2 * x0[-1] * x1[-1])))


def _point(*x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)


def gaussian(alpha: float, radius: float, angle: float) -> Problem:
    """A standard normal; both ends at equal radius, at an angle."""
    end = _point(radius * math.cos(angle), radius * math.sin(angle))
    return Problem(Gaussian([0.0, 0.0]), _point(radius, 0), end, alpha, Flat())


def von_mises_fisher(concentration: float) -> Problem:
    """Concentrated about the pole of the unit sphere; both ends at θ = 1.2, azimuths 0 and 2."""
    sin, cos = math.sin(1.2), math.cos(1.2)
    density = VonMisesFisher([0.0, 0.0, 1.0], concentration)
    start, end = _point(sin, 0, cos), _point(sin * math.cos(2), sin * math.sin(2), cos)
    return Problem(density, start, end, 1.0, Sphere(1.0))


def ring(turn: float = 0.9) -> Problem:
    """Twelve components on a circle of radius 2; the ends at angles 0 and ``turn`` π."""
    angle = torch.arange(12, dtype=torch.float64) * (2 * math.pi / 12)
    means = 2 * torch.stack([angle.cos(), angle.sin()], -1)
    end = _point(2 * math.cos(turn * math.pi), 2 * math.sin(turn * math.pi))
    return Problem(GaussianMixture(means, 0.5), _point(2, 0), end, 1.0, Flat())


def three_components() -> Problem:
    """From one component to another, past a third."""
    means, stds, weights = [[-2.0, 0], [2, 0], [0, 1.8]], [0.7, 0.7, 0.8], [0.3, 0.3, 0.4]
    density = GaussianMixture(means, stds, weights)
    return Problem(density, _point(-2, 0), _point(2, 0), 1.0, Flat())


def _off_curve(
    means: Tensor, std: float, offset: float, alpha: float, manifold: Manifold
) -> Problem:
    start, end = means[0].clone(), means[-1].clone()
    start[2], end[3] = offset, offset
    return Problem(GaussianMixture(means, std), start, end, alpha, manifold)


def arc(dim: int, offset: float, alpha: float) -> Problem:
    """Eight components on an arc; the ends off it, in two further directions."""
    angle = torch.linspace(-1.1, 1.1, 8, dtype=torch.float64)
    means = torch.zeros(8, dim, dtype=torch.float64)
    means[:, 0], means[:, 1] = 6 * angle.cos(), 6 * angle.sin()
    return _off_curve(means, 1.0, offset, alpha, Flat())


def sphere(alpha: float, dim: int = 4) -> Problem:
    """160 components on an arc inside the sphere of radius 128, in 16384 dimensions.

    The problem lies in the span of four directions, and so does its solution: ``dim=4`` is the
    same problem without the zeros.
    """
    angle = torch.linspace(-0.6, 0.6, 160, dtype=torch.float64)
    means = torch.zeros(160, dim, dtype=torch.float64)
    means[:, 0], means[:, 1] = 77 * angle.cos(), 77 * angle.sin()
    return _off_curve(means, 0.8, 102.0, alpha, Sphere(128.0))


def _half_plane(x: float, y: float) -> Reference:
    start, end = _point(0, 1), _point(x, y)
    return Reference(
        f"half-plane to ({x:g}, {y:g})",
        lambda: Problem(HalfPlane(), start, end, 1.0, Flat()),
        hyperbolic_distance(start, end),
    )


def _stereographic(x0: Tensor, x1: Tensor, name: str) -> Reference:
    at_start = 2 / (1 + float(x0.square().sum()))
    return Reference(
        f"stereographic, {name}",
        lambda: Problem(Stereographic(), x0, x1, 1.0, Flat()),
        stereographic_distance(x0, x1) / at_start,
    )


_GAUSSIAN = (
    (1.0, 1.5, 2.0, 1.415722705976),
    (1.0, 3.0, 2.0, 0.7831461377868),
    (0.1, 8.0, 2.0, 3.089574500279),
    (0.01, 32.0, 1.5, 7.160674785116),
    (0.5, 8.0, 1.0, 0.5173917660592),
)
_VON_MISES_FISHER = ((0.5, 1.63282708999), (2.0, 1.065734119965), (8.0, 0.2940264990389))

REFERENCES: tuple[Reference, ...] = (
    _half_plane(2.0, 1.0),
    _half_plane(2.0, 0.3),
    _stereographic(_point(0.3, 0.1), _point(-0.2, 0.9), "near"),
    _stereographic(_point(1.0, 0.5), _point(-0.7, 1.2), "far"),
    *(
        Reference(
            f"Gaussian, α {a:g}, radius {r:g}, angle {p:g}",
            lambda a=a, r=r, p=p: gaussian(a, r, p),
            L,
        )
        for a, r, p, L in _GAUSSIAN
    ),
    *(
        Reference(f"von Mises-Fisher, ακ {k:g}", lambda k=k: von_mises_fisher(k), L)
        for k, L in _VON_MISES_FISHER
    ),
    Reference("ring", ring, 5.430263, 1e-6),
    Reference("three components", three_components, 8.030884, 1e-6),
    Reference("arc, 64-d, α 0.1", lambda: arc(64, 7.0, 0.1), 4.244576, 1e-6),
    Reference("arc, 64-d, α 1", lambda: arc(64, 7.0, 1.0), 0.291700, 2e-6, strong=True),
    Reference("arc, 1024-d, α 0.01", lambda: arc(1024, 32.0, 0.01), 7.187236, 1e-6),
    Reference("arc, 1024-d, α 0.1", lambda: arc(1024, 32.0, 0.1), 0.631267, 1e-6, strong=True),
    Reference("sphere, 16384-d, α 0.002", lambda: sphere(0.002), 10.7953516),
    Reference("sphere, 16384-d, α 0.01", lambda: sphere(0.01), 2.09603, 1e-6, strong=True),
)
