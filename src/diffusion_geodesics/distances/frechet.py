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
from diffusion_geodesics.density import Score, as_score
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.manifold import Flat, SpaceForm
from diffusion_geodesics.path import Path

STENCIL = 6
"""Order of the one-sided differences that give the initial direction of a path."""


@dataclass(frozen=True)
class FrechetMean:
    """The mean, how well it satisfies its equation, and what it cost.

    Args:
        point: m, shape (dim,).
        distances: d(m, x_i), shape (points,), with densities relative to the weighted geometric
            mean of p(x_i).
        residual: norm of the weighted mean of log_m x_i, divided by that of their norms; 0 at a
            critical point.
        converged: whether ``residual`` is below ``tol``.
        reason: why the iteration ended.
        iterations: evaluations of all geodesics.
        batches, nfe: batches of score evaluations, and score evaluations.
        solution: the geodesics from m to the points.
    """

    point: Float[Tensor, " dim"]
    distances: Float[Tensor, " points"]
    residual: float
    converged: bool
    reason: str
    iterations: int
    batches: int
    nfe: int
    solution: Solution


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
    points: Float[Tensor, "points dim"],
    *,
    weights: Float[Tensor, " points"] | None = None,
    alpha: float = 1.0,
    manifold: SpaceForm | None = None,
    solver: BVPSolver | None = None,
    start: Float[Tensor, " dim"] | None = None,
    tol: float = 1e-3,
    max_iterations: int = 50,
    callback: Callable[[int, float], None] | None = None,
) -> FrechetMean:
    """The point with the least mean squared geodesic distance from n points, near ``start``.

    If F has several minima, as for a density with several modes, one near the start is found.

    Args:
        score_or_density, alpha, manifold, solver: as for :func:`diffusion_geodesics.geodesics`.
        points: at least one.
        weights: ≥ 0, normalised here; equal by default.
        start: where to begin; by default the manifold's own mean of the points.
        tol: residual to reach.
        max_iterations: most evaluations of all geodesics, including those of the line search.
        callback: called with iteration and residual after each accepted step.

    Raises:
        ValueError: no points, or weights that are negative or do not fit.

    Cost:
        n geodesics per iteration, solved in one batch.

    References:
        Karcher, CPAM 1977.
    """
    score, space = as_score(score_or_density), Flat() if manifold is None else manifold
    points = space.project(points)
    share = _weights(weights, points)
    here = space.project((share @ points) if start is None else start.to(points))
    nfe = batches = 0

    def evaluate(point: Tensor) -> _Evaluation:
        nonlocal nfe, batches
        found = _evaluate(score, point, points, share, alpha, space, solver)
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
            reason = (
                "no step makes the sum of squared distances smaller" if size <= 1e-6 else reason
            )
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


def _evaluate(
    score: Score,
    point: Tensor,
    points: Tensor,
    share: Tensor,
    alpha: float,
    space: SpaceForm,
    solver: BVPSolver | None,
) -> _Evaluation:
    solution = geodesic(
        score, point.expand_as(points), points, alpha=alpha, manifold=space, solver=solver, tol=1e-4
    )
    velocity = space.to_tangent(point.expand_as(points), initial_velocity(solution.path))
    norm = torch.linalg.vector_norm(velocity, dim=1, keepdim=True)
    unit = torch.where(norm > 0, velocity / norm.clamp_min(1e-30), 0)
    length = torch.where(torch.isfinite(solution.length), solution.length, torch.inf)
    distances = length * torch.exp(alpha * (share @ solution.log_density[-1]))
    value = float(0.5 * (share * distances.square()).sum())
    return _Evaluation(point, unit * length[:, None], distances, value, solution)


def initial_velocity(path: Path, intervals: int = 32) -> Float[Tensor, "*batch dim"]:
    """γ'(0) by one-sided differences of order 6.

    Args:
        path: the path.
        intervals: the differences use points 1/intervals apart.
    """
    weights = torch.from_numpy(_one_sided(STENCIL)) * intervals
    t = torch.arange(STENCIL + 1, dtype=torch.float64) / intervals
    x = path(t)
    return torch.tensordot(weights.to(x), x - x[0], dims=1)


@cache
def _one_sided(order: int) -> np.ndarray:
    """Weights w with f'(0) = Σ w_k f(k) for polynomials up to a degree."""
    powers = np.vander(np.arange(order + 1.0), increasing=True).T
    return np.linalg.solve(powers, np.eye(order + 1)[1])


def _weights(weights: Tensor | None, points: Tensor) -> Tensor:
    if not len(points):
        raise ValueError("got no points; expected at least one")
    share = points.new_ones(len(points)) if weights is None else weights.to(points)
    if share.shape != points.shape[:1] or bool((share < 0).any()) or not float(share.sum()) > 0:
        raise ValueError(
            f"got weights of shape {tuple(share.shape)} for {len(points)} points; expected one "
            "each, none negative, at least one positive"
        )
    return share / share.sum()
