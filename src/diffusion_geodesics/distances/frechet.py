r"""The Fréchet mean (Karcher's centre of mass) under a density metric.

.. math:: m = \arg\min_x F(x), \qquad F(x) = \tfrac12 \sum_i w_i\, d(x, x_i)^2, \qquad
          \operatorname{grad} F(x) = -\sum_i w_i \log_x x_i .

In coordinates :math:`\log_x x_i = \ell_i u_i` with u the unit direction in which the geodesic
leaves x and :math:`\ell_i` its length with the density relative to p(x), the ``length`` of a
solution. All geodesics from the current point are solved in one batch; the point then moves along
the mean of the logarithms, with a step that is halved until F decreases.

References:
    Karcher, Riemannian center of mass and mollifier smoothing, CPAM 1977.
    Pennec, Intrinsic Statistics on Riemannian Manifolds, JMIV 2006.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp import BVPSolver, Solution
from diffusion_geodesics.density import Score
from diffusion_geodesics.geodesics import solve_pairs
from diffusion_geodesics.manifold import SpaceForm, Sphere, placed
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Path
from diffusion_geodesics.points import ArrayLike, as_points

STENCIL = 6
"""Order of the one-sided differences that give the initial direction of a path."""


@dataclass(frozen=True)
class FrechetMean:
    """The mean, how well it satisfies its equation, and what it cost.

    Args:
        distances: d(m, x_i), with densities relative to the weighted geometric mean of p(x_i).
        residual: norm of the weighted mean of log_m x_i, divided by that of their norms; 0 at a
            critical point.
    """

    point: Float[Tensor, " dim"]
    distances: Float[Tensor, " points"]
    residual: float
    converged: bool  # whether ``residual`` is below ``tol``
    reason: str  # why the iteration ended
    iterations: int  # evaluations of all geodesics
    batches: int
    nfe: int
    solution: Solution  # the geodesics from m to the points


@dataclass(frozen=True)
class _Evaluation:
    """F, the logarithms and the distances at one point."""

    point: Tensor
    logs: Tensor
    distances: Tensor
    value: float
    solution: Solution


def frechet_mean(
    score_or_density: Score | Callable[[Tensor], Tensor],
    points: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    alpha: float = 1.0,
    manifold: SpaceForm | None = None,
    solver: BVPSolver | None = None,
    start: ArrayLike | None = None,
    tol: float = 1e-3,
    max_iterations: int = 50,
    callback: Callable[[int, float], None] | None = None,
) -> FrechetMean:
    """The point with the least mean squared geodesic distance from n points, near ``start``: if
    there are several minima, as for a density with several modes, one near the start is found.

    Args:
        score_or_density, alpha, solver: as for :func:`diffusion_geodesics.geodesic`, with one
            initial path for each geodesic.
        manifold: flat space by default, or a sphere.
        points: at least one, shape (points, dim), as a tensor, an array or lists.
        weights: ≥ 0, normalised here; equal by default.
        start: where to begin; by default the manifold's own mean of the points, or where that is
            not defined (antipodal points of a sphere) the point halfway between them.
        tol: residual to reach, between 0 and 1.
        max_iterations: most evaluations of all geodesics, including those of the line search, ≥ 1.
        callback: called with iteration and residual after each accepted step.

    Raises:
        TypeError: the manifold is no :class:`SpaceForm`.
        ValueError: no points, weights that are negative or do not fit, or ``tol`` or
            ``max_iterations`` is out of range.

    Cost:
        n geodesics per iteration, solved in one batch.
    """
    connection = Conformal(score_or_density, alpha, manifold)
    space = connection.manifold
    if not isinstance(space, SpaceForm):
        raise TypeError(f"got the manifold {space!r}; expected Flat() or Sphere(radius)")
    if not 0 < tol <= 1 or max_iterations < 1:
        raise ValueError(
            f"tol is {tol} and max_iterations {max_iterations}; expected 0 < tol ≤ 1, and ≥ 1"
        )
    places = placed(as_points(points, "points", axes=2), space, "points")
    share = normalised_weights(weights, places)
    here = _mean(places, share, space) if start is None else _start(start, places, space)
    nfe = batches = 0

    def evaluate(point: Tensor) -> _Evaluation:
        nonlocal nfe, batches
        found = _evaluate(connection, point, places, share, solver)
        nfe, batches = nfe + found.solution.nfe, batches + found.solution.batches
        return found

    best, size, iterations, reason = evaluate(here), 1.0, 1, "max_iterations were taken"
    while True:
        mean = share @ best.logs
        scale = float(share @ torch.linalg.vector_norm(best.logs, dim=1))
        residual = float(torch.linalg.vector_norm(mean)) / scale if scale else 0.0
        if callback is not None:
            callback(iterations, residual)
        if residual < tol or iterations >= max_iterations:
            break
        found: _Evaluation | None = None
        while found is None and iterations < max_iterations and size > 1e-6:
            trial = evaluate(space.exp(best.point, size * mean))
            iterations += 1
            if trial.value < best.value:
                found = trial
            else:
                size /= 2
        if found is None:
            if size <= 1e-6:
                reason = "no step makes the sum of squared distances smaller"
            break
        best, size = found, min(1.0, 2 * size)
    converged = residual < tol
    return FrechetMean(
        point=best.point,
        distances=best.distances,
        residual=residual,
        converged=converged,
        reason="the residual is below the tolerance" if converged else reason,
        iterations=iterations,
        batches=batches,
        nfe=nfe,
        solution=best.solution,
    )


def _mean(points: Tensor, share: Tensor, space: SpaceForm) -> Tensor:
    """The manifold's own mean; where it is not defined, points are averaged one after the other."""
    mean = share @ points
    if not isinstance(space, Sphere) or float(mean.norm()) > 1e-6 * space.radius:
        return space.project(mean)
    here, weight = points[0], share[0]
    for point, more in zip(points[1:], share[1:], strict=True):
        weight = weight + more
        here = space.exp(here, more / weight.clamp_min(1e-30) * space.log(here, point))
    return space.project(here)


def _start(start: ArrayLike, points: Tensor, space: SpaceForm) -> Tensor:
    here = as_points(start, "start", axes=1).to(points)
    if here.shape != points.shape[1:]:
        raise ValueError(f"start has shape {tuple(here.shape)}; expected {tuple(points.shape[1:])}")
    return placed(here, space, "start")


def _evaluate(
    connection: Conformal, point: Tensor, points: Tensor, share: Tensor, solver: BVPSolver | None
) -> _Evaluation:
    space, alpha = connection.manifold, connection.weight.constant_slope or 0.0
    solution = solve_pairs(connection, point.expand_as(points), points, solver=solver, tol=1e-4)
    velocity = space.to_tangent(point.expand_as(points), initial_velocity(solution.path))
    norm = torch.linalg.vector_norm(velocity, dim=1, keepdim=True)
    unit = torch.where(norm > 0, velocity / norm.clamp_min(1e-30), 0)
    length = torch.where(torch.isfinite(solution.length), solution.length, torch.inf)
    distances = length * torch.exp(alpha * (share @ solution.log_density[-1]))
    value = float(0.5 * (share * distances.square()).sum())
    return _Evaluation(point, unit * length[:, None], distances, value, solution)


def initial_velocity(path: Path, intervals: int = 32) -> Float[Tensor, "*batch dim"]:
    """γ'(0) by one-sided differences of order 6."""
    weights = torch.from_numpy(_one_sided(STENCIL)) * intervals
    t = torch.arange(STENCIL + 1, dtype=torch.float64) / intervals
    x = path(t)
    return torch.tensordot(weights.to(x), x - x[0], dims=1)


@cache
def _one_sided(order: int) -> np.ndarray:
    """Weights w with f'(0) = Σ w_k f(k) for polynomials up to a degree."""
    powers = np.vander(np.arange(order + 1.0), increasing=True).T
    return np.linalg.solve(powers, np.eye(order + 1)[1])


def normalised_weights(weights: ArrayLike | None, points: Tensor) -> Tensor:
    """Weights of points with sum 1, equal by default; `ValueError` if they do not fit."""
    if not len(points):
        raise ValueError("got no points; expected at least one")
    known = points.new_ones(len(points)) if weights is None else weights
    share = as_points(known, "weights", axes=1).to(points)
    if share.shape != points.shape[:1] or bool((share < 0).any()) or not float(share.sum()) > 0:
        raise ValueError(
            f"got weights of shape {tuple(share.shape)} for {len(points)} points; expected one "
            "each, none negative, at least one positive"
        )
    return share / share.sum()
