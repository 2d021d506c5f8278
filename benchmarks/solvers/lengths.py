r"""True lengths: of any curve by its exact density, and of the shortest geodesic.

The length of a curve is :math:`\int (p(\gamma) / p(\gamma(0)))^{-\alpha} |\gamma'|\,dt` of the
spline through its nodes, by composite Gauss-Legendre quadrature of the exact density at 256 points
or more. It is what the curve would measure, whatever its solver believes: never less than the
length of the shortest geodesic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics.bvp import BoundaryProblem, PreconditionedFlow, solve_bvp
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Spline
from tests.problems.families import Problem

FINE = (64, 128, 256)
"""Intervals of the solutions that a reference length is taken from; the last only if needed."""
AGREEMENT, FINE_RESIDUAL = 1e-6, 1e-6
"""Relative difference of length at which no finer one is needed; residual they are solved to."""
STARTS = 7
"""Initial paths the shortest geodesic is looked for from."""
UNSURE = 1e-4
"""Relative change under twice the panels above which a length is integrated anew, with 32 times
as many: curves with few nodes where the density changes much."""


@lru_cache(maxsize=8)
def _rule(panels: int) -> tuple[Tensor, Tensor]:
    x, w = np.polynomial.legendre.leggauss(4)
    left = np.arange(panels)[:, None] / panels
    times = (left + (x + 1) / (2 * panels)).ravel()
    return torch.from_numpy(times), torch.from_numpy(np.tile(w / (2 * panels), panels))


def true_length(problem: Problem, nodes: Tensor) -> Tensor:
    """Lengths of the splines through nodes (n, *many, pairs, dim), shape (*many, pairs).

    Costs nothing that is counted: it is not known to a solver.
    """
    panels = max(64, 2 * (len(nodes) - 1))
    length, rough = (_integral(problem, nodes, p) for p in (panels, panels // 2))
    unsure = (length - rough).abs() > UNSURE * length
    if bool(unsure.any()):
        length = torch.where(unsure, _integral(problem, nodes, 32 * panels), length)
    return length


def _integral(problem: Problem, nodes: Tensor, panels: int) -> Tensor:
    times, weights = _rule(panels)
    path = Spline(nodes, problem.manifold)
    none = torch.zeros(1, dtype=nodes.dtype)
    at_start = problem.density.log_prob(none, problem.start)
    total = nodes.new_zeros(nodes.shape[1:-1])
    for some in torch.arange(len(times)).split(1024):
        level = problem.density.log_prob(none, path(times[some])) - at_start
        speed = torch.linalg.vector_norm(path(times[some], 1), dim=-1)
        total += torch.tensordot(
            weights[some].to(nodes), (-problem.alpha * level).exp() * speed, dims=1
        )
    return total


def lengths_of(problem: Problem, curves: list[Tensor], *, at_once: int = 8) -> Tensor:
    """True lengths of many curves of any number of nodes, shape (curves, pairs)."""
    found = torch.full((len(curves), len(problem.start)), torch.nan, dtype=torch.float64)
    for size in {len(curve) for curve in curves}:
        index = torch.tensor([i for i, curve in enumerate(curves) if len(curve) == size])
        for part in index.split(at_once):
            found[part] = true_length(problem, torch.stack([curves[i] for i in part], 1))
    return found


@dataclass(frozen=True)
class Shortest:
    """The shortest geodesic that is known of every pair.

    Args:
        length: shape (pairs,).
        disagreement: largest relative difference of length of the two finest solutions.
        residual: largest residual of the finest one.
        intervals: of the finest one.
    """

    length: Tensor
    disagreement: float
    residual: float
    intervals: int


def shortest(problem: Problem) -> Shortest:
    """The shortest geodesic from several starts, then refined until its length agrees."""
    rough = geodesic(
        problem.density,
        problem.start,
        problem.end,
        alpha=problem.alpha,
        manifold=problem.manifold,
        starts=STARTS,
        tol=1e-2,
    )
    connection = Conformal(problem.density, problem.alpha, problem.manifold)
    path, lengths = rough.path, torch.full((1, len(problem.start)), torch.inf)
    disagreement, residual, intervals = math.inf, math.inf, 0
    for intervals in FINE:
        fine = solve_bvp(
            BoundaryProblem(connection, path),
            PreconditionedFlow((intervals,)),
            tol=FINE_RESIDUAL,
            max_steps=150,
            throw=False,
        )
        path, residual = fine.path, float(fine.residual.max())
        times = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
        lengths = torch.cat([lengths, true_length(problem, path(times))[None]])
        disagreement = float((lengths[-2] / lengths[-1] - 1).abs().max())
        if disagreement < AGREEMENT:
            break
    return Shortest(lengths.amin(0), disagreement, residual, intervals)
