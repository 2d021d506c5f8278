r"""The geodesic between two points under a score or a density, in one function call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    BVPSolver,
    GeodesicError,
    PreconditionedFlow,
    Solution,
    Step,
    solve_bvp,
)
from diffusion_geodesics.bvp.checks import circulation
from diffusion_geodesics.density import Score
from diffusion_geodesics.length import Profile
from diffusion_geodesics.manifold import Manifold, placed
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Path, Spline, chord, separation
from diffusion_geodesics.points import ArrayLike, Points, as_points, norm, seeded_noise

STARTS = 3
"""Initial paths by default: the chord, and one displaced to either side."""


def geodesic(
    score_or_density: Score | Callable[[Tensor], Tensor],
    x0: ArrayLike,
    x1: ArrayLike,
    *,
    alpha: float = 1.0,
    manifold: Manifold | None = None,
    solver: BVPSolver | None = None,
    tol: float = 1e-3,
    max_steps: int = 60,
    starts: int | Sequence[Path] | None = None,
    seed: int = 0,
    callback: Callable[[Step], None] | None = None,
    throw: bool = False,
) -> Solution:
    r"""The shortest path from x0 to x1 under the metric :math:`p^{-2\alpha} I`.

    Minimises :math:`L = \int p(\gamma)^{-\alpha} |\gamma'|\,dt` by solving its Euler-Lagrange
    equation :math:`P_\perp(\gamma'' + \alpha |\gamma'|^2 s) = 0` (Yu et al., CVPR 2025, equations 4
    to 8). Two checks are made: several initial paths, because a residual cannot tell the shortest
    path from a saddle point or the longer way round; and the circulation of the score around the
    path and its chord, which is reported in ``Solution.warnings`` if the score is no gradient.

    Args:
        score_or_density: a :class:`Score` or :class:`Density`, or a plain function x -> s(x) from
            points (n, dim) to scores (n, dim).
        x0, x1: end points, shape (dim,) for one pair or (*batch, dim) for many, solved in one
            batch. float32 and float64 tensors keep their type; everything else becomes float64.
        alpha: strength α ≥ 0. 1 is the paper's metric; in high dimension take α·dim of order one.
        manifold: flat space by default; ``Sphere(R)`` for noised latents. End points are
            projected onto it.
        solver: :class:`PreconditionedFlow` by default.
        tol: relative Euler-Lagrange residual to reach, between 0 and 1.
        max_steps: most steps on the finest level, ≥ 1.
        starts: number of initial paths: the chord, then chords displaced sideways, in pairs of
            opposite random directions; or your own paths. All are solved in one batch, those that
            cannot win only coarsely, and the shortest solution is kept. By default 3 with the
            default solver and 1 with another; 1 leaves the check out.
        seed: of the random directions.
        callback: called after every iteration with a :class:`Step`; an exception it raises cancels
            the solver.
        throw: raise :class:`GeodesicError` instead of returning a solution that failed.

    Returns:
        A :class:`Solution`. Its ``length`` has the density relative to the start x0, its
        ``distance`` relative to the geometric mean of both ends.

    Raises:
        TypeError: ``manifold``, ``solver`` or ``alpha`` is of another kind.
        ValueError: shapes do not fit, values are not finite or out of range, or the score has the
            wrong shape.

    Cost: about 170 to 330 score evaluations in 7 to 13 batches for a smooth problem with one
        initial path, 1.6 to 2 times as many with three, and 17 in one batch for the circulation.
    """
    start, end = end_points(x0, x1)
    connection = Conformal(score_or_density, alpha, manifold)
    start = placed(start, connection.manifold, "x0")
    end = placed(end, connection.manifold, "x1")
    if starts is None:
        starts = STARTS if solver is None and start.shape[-1] > 1 else 1
    solution = solve_pairs(
        connection,
        start,
        end,
        solver=solver,
        tol=tol,
        max_steps=max_steps,
        starts=starts,
        seed=seed,
        callback=callback,
    )
    if isinstance(solution.lengths, Profile):
        line = chord(start, end, connection.manifold)
        slope = connection.weight.constant_slope
        found = circulation(connection, solution.lengths, line, 1.0 if slope is None else slope)
        solution = replace(
            solution,
            circulation=found,
            nfe=solution.nfe + found.nfe,
            batches=solution.batches + found.batches,
        )
    if throw and not solution.result.ok:
        raise GeodesicError(solution)
    return solution


def solve_pairs(
    connection: Conformal,
    start: Points,
    end: Points,
    *,
    solver: BVPSolver | None = None,
    tol: float = 1e-3,
    max_steps: int = 60,
    starts: int | Sequence[Path] = 1,
    seed: int = 0,
    callback: Callable[[Step], None] | None = None,
) -> Solution:
    """The geodesics of pairs of points on a manifold, without the checks of :func:`geodesic`;
    arguments and errors as there."""
    if isinstance(starts, int):
        starts = initial_paths(start, end, connection.manifold, starts, seed)
    return solve_bvp(
        BoundaryProblem(connection, starts),
        PreconditionedFlow(refine=(64,)) if solver is None else solver,
        tol=tol,
        max_steps=max_steps,
        callback=callback,
    )


def end_points(x0: ArrayLike, x1: ArrayLike) -> tuple[Tensor, Tensor]:
    """Two end points, shape (*batch, dim), as floating-point tensors of one type and device;
    `ValueError` if the shapes differ, are scalar or empty, or a value is not finite."""
    start, end = as_points(x0, "x0"), as_points(x1, "x1")
    if start.shape != end.shape:
        raise ValueError(
            f"x0 has shape {tuple(start.shape)} and x1 {tuple(end.shape)}; expected the same shape"
        )
    dtype = torch.promote_types(start.dtype, end.dtype)
    return start.to(dtype), end.to(start.device, dtype)


def initial_paths(
    start: Tensor, end: Tensor, manifold: Manifold, count: int, seed: int = 0
) -> list[Path]:
    """The chord, and chords displaced sideways in pairs of opposite random directions: ``count`` ≥
    1 paths. The displacement is half a sine wave whose amplitude is half the length of the chord.
    """
    if count < 1:
        raise ValueError(f"starts is {count}; expected at least 1")
    base = chord(start, end, manifold)
    paths: list[Path] = [base]
    t = torch.linspace(0, 1, 17, dtype=torch.float64)
    nodes = base(t)
    span = separation(start, end, manifold)[..., None]
    wave = torch.sin(torch.pi * t).to(nodes).reshape(-1, *[1] * start.ndim)
    generator = torch.Generator().manual_seed(seed)
    along = (end - start) / norm(end - start).clamp_min(1e-30)
    direction = torch.zeros_like(start)
    for number in range(1, count):
        if number % 2:
            noise = seeded_noise(start.shape, generator, start)
            noise = manifold.to_tangent(manifold.project(start + end + 1e-9 * noise), noise)
            noise = noise - (noise * along).sum(-1, keepdim=True) * along
            direction = noise / norm(noise).clamp_min(1e-30)
        else:
            direction = -direction
        bumped = manifold.project(nodes + 0.5 * span * wave * direction)
        paths.append(Spline(torch.cat([nodes[:1], bumped[1:-1], nodes[-1:]]), manifold))
    return paths
