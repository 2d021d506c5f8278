"""Problem families for the solvers: exact densities, random by seed.

The families are those of the project's first comparison of solvers: rings, bananas and three
components in the plane, arcs of components in 64 and 1024 dimensions (mild and strong barriers),
and a curve of components on a sphere in 16384 dimensions. Two are later: components scattered at
random, which no solver was developed on. A mixture of isotropic components and
both end points span few dimensions and geodesics stay in that span, so the large ones are rotated
into it: the geometry is that of the full dimension, the arithmetic is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics.density import Density, GaussianMixture
from diffusion_geodesics.manifold import Flat, Manifold, Sphere


@dataclass(frozen=True)
class Problem:
    """Find the geodesic from ``start`` to ``end``."""

    density: Density
    start: Tensor
    end: Tensor
    alpha: float
    manifold: Manifold


@dataclass(frozen=True)
class Family:
    """A random problem for every seed; ``strong`` where the barrier α Δlog p is large."""

    name: str
    make: Callable[[int], Problem]
    strong: bool = False


def _tensor(x: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64))


def span_of(points: np.ndarray) -> np.ndarray:
    """Orthonormal basis of the span of points (n, dim), shape (dim, rank)."""
    _, sizes, rows = np.linalg.svd(points, full_matrices=False)
    return rows[sizes > 1e-10 * sizes[0]].T


def _problem(
    means: np.ndarray,
    stds: float | list[float],
    start: np.ndarray,
    end: np.ndarray,
    alpha: float,
    *,
    radius: float | None = None,
    weights: list[float] | None = None,
) -> Problem:
    if means.shape[1] > 8 and isinstance(stds, float):
        if radius is not None:
            start, end = (x * radius / np.linalg.norm(x) for x in (start, end))
        basis = span_of(np.vstack([start, end, means]))
        means, start, end = means @ basis, start @ basis, end @ basis
    return Problem(
        GaussianMixture(_tensor(means), stds, weights),
        _tensor(start),
        _tensor(end),
        alpha,
        Flat() if radius is None else Sphere(radius),
    )


def ring(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    angles = np.arange(12) * 2 * np.pi / 12
    first, turn = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.85) * np.pi
    ra, rb = 2 + rng.uniform(-0.4, 0.4, 2)

    def at(r: float, a: float) -> np.ndarray:
        return r * np.array([math.cos(a), math.sin(a)])

    return _problem(
        2 * np.c_[np.cos(angles), np.sin(angles)], 0.5, at(ra, first), at(rb, first + turn), 1.0
    )


def banana(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    t = np.linspace(-2, 2, 9)
    means = np.c_[t, 0.5 * t**2 - 1] + 0.1 * rng.standard_normal((9, 2))
    start = means[0] + 0.3 * rng.standard_normal(2)
    return _problem(means, 0.4, start, means[-1] + 0.3 * rng.standard_normal(2), 1.0)


def triple(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    means = np.array([[-2, 0], [2, 0], [0, 1.8]]) + 0.3 * rng.standard_normal((3, 2))
    start = means[0] + 0.4 * rng.standard_normal(2)
    end = means[1] + 0.4 * rng.standard_normal(2)
    return _problem(means, [0.7, 0.7, 0.8], start, end, 1.0, weights=[0.3, 0.3, 0.4])


def arc(seed: int, dim: int, alpha: float) -> Problem:
    rng = np.random.default_rng(seed)
    frame, _ = np.linalg.qr(rng.standard_normal((dim, 5)))
    a = np.linspace(-1.1, 1.1, 8)
    curve = np.c_[6 * np.cos(a), 6 * np.sin(a), np.sin(3 * a), np.cos(2 * a + 1), np.sin(2 * a + 2)]
    means = curve @ frame.T
    start = means[0] + rng.standard_normal(dim)
    return _problem(means, 1.0, start, means[-1] + rng.standard_normal(dim), alpha)


def sphere(seed: int, alpha: float) -> Problem:
    rng = np.random.default_rng(seed)
    dim = 16384
    frame, _ = np.linalg.qr(rng.standard_normal((dim, 6)))
    a = np.linspace(-0.6, 0.6, 160)
    phase = rng.uniform(0, 2 * np.pi, 4)
    waves = [15 * np.sin((k + 2) * a + phase[k]) / (k + 1) for k in range(4)]
    means = np.c_[77 * np.cos(a), 77 * np.sin(a), np.stack(waves, -1)] @ frame.T
    start = means[0] + 0.8 * rng.standard_normal(dim)
    end = means[-1] + 0.8 * rng.standard_normal(dim)
    return _problem(means, 0.8, start, end, alpha, radius=128.0)


def scattered(seed: int, dim: int, alpha: float) -> Problem:
    """Ten unlike components anywhere, from one to another: several geodesics compete."""
    rng = np.random.default_rng(seed)
    means = 2.5 * rng.standard_normal((10, dim)) / math.sqrt(dim / 2)
    stds, weights = rng.uniform(0.5, 1.1, 10), rng.uniform(0.2, 1.0, 10)
    start, end = (m + s * rng.standard_normal(dim) for m, s in zip(means[:2], stds, strict=False))
    return _problem(means, list(stds), start, end, alpha, weights=list(weights))


def scaling(seed: int, dim: int) -> Problem:
    """An arc of components in any number of dimensions, ends typical; in all its coordinates."""
    rng = np.random.default_rng([seed, dim])
    angle = np.linspace(-1.1, 1.1, 8)
    means = np.zeros((8, dim))
    means[:, 0], means[:, 1] = 6 * np.cos(angle), 6 * np.sin(angle)
    start, end = (means[i] + rng.standard_normal(dim) for i in (0, -1))
    density = GaussianMixture(_tensor(means), 1.0)
    return Problem(density, _tensor(start), _tensor(end), min(1.0, 6.4 / dim), Flat())


FAMILIES = (
    Family("ring, 2-d", ring),
    Family("banana, 2-d", banana),
    Family("three components, 2-d", triple),
    Family("arc, 64-d, α 0.1", lambda s: arc(s, 64, 0.1)),
    Family("arc, 64-d, α 1", lambda s: arc(s, 64, 1.0), strong=True),
    Family("arc, 1024-d, α 0.01", lambda s: arc(s, 1024, 0.01)),
    Family("arc, 1024-d, α 0.1", lambda s: arc(s, 1024, 0.1), strong=True),
    Family("sphere, 16384-d, α 0.002", lambda s: sphere(s, 0.002)),
    Family("sphere, 16384-d, α 0.02", lambda s: sphere(s, 0.02), strong=True),
    Family("scattered, 2-d, α 0.5", lambda s: scattered(s, 2, 0.5)),
    Family("scattered, 16-d, α 0.3", lambda s: scattered(s, 16, 0.3)),
)
