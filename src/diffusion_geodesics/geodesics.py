r"""The geodesic between two points under a score or a density, in one function call."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    BVPSolver,
    PreconditionedFlow,
    Solution,
    Step,
    solve_bvp,
)
from diffusion_geodesics.density import ArrayLike, Score, as_score
from diffusion_geodesics.manifold import Flat, Manifold
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Path, Spline, chord, separation


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
    starts: int | Sequence[Path] = 1,
    seed: int = 0,
    callback: Callable[[Step], None] | None = None,
    throw: bool = False,
) -> Solution:
    r"""The shortest path from x0 to x1 under the metric :math:`p^{-2\alpha} I`.

    Minimises :math:`L = \int p(\gamma)^{-\alpha} |\gamma'|\,dt` by solving its Euler-Lagrange
    equation :math:`P_\perp(\gamma'' + \alpha |\gamma'|^2 s) = 0`.

    Args:
        score_or_density: a :class:`Score` or :class:`Density`, or a plain function x -> s(x) from
            points (n, dim) to scores (n, dim).
        x0, x1: end points, shape (dim,) for one pair or (*batch, dim) for many, solved in one
            batch. float32 and float64 tensors keep their type; everything else becomes float64.
        alpha: strength α ≥ 0. 1 is the paper's metric; in high dimension take α·dim of order one.
        manifold: flat space by default; ``Sphere(R)`` for noised latents. End points are
            projected onto it.
        solver: :class:`PreconditionedFlow` by default.
        tol: relative Euler-Lagrange residual to reach, > 0.
        max_steps: most steps on the finest level, ≥ 1.
        starts: number of initial paths: the chord, then chords displaced sideways, in pairs of
            opposite random directions; or your own paths. All are solved in one batch and the
            shortest solution is kept. More than one guards against saddle points and the longer
            way round.
        seed: of the random directions.
        callback: called after every iteration with a :class:`Step`; an exception it raises cancels
            the solver.
        throw: raise :class:`GeodesicError` instead of returning a solution that failed.

    Returns:
        A :class:`Solution`. Its ``length`` has the density relative to the start x0, its
        ``distance`` relative to the geometric mean of both ends.

    Raises:
        ValueError: shapes do not fit, values are not finite, or the score has the wrong shape.
        GeodesicError: no geodesic was found, and ``throw`` is true.

    Cost:
        About 170 to 330 score evaluations in 7 to 13 batches for a smooth problem, per initial
        path.

    References:
        Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025,
        equations 4 to 8.
    """
    manifold = Flat() if manifold is None else manifold
    start, end = end_points(x0, x1)
    start, end = manifold.project(start), manifold.project(end)
    connection = Conformal(as_score(score_or_density), alpha, manifold)
    paths = initial_paths(start, end, manifold, starts, seed) if isinstance(starts, int) else starts
    return solve_bvp(
        BoundaryProblem(connection, paths),
        PreconditionedFlow(refine=(64,)) if solver is None else solver,
        tol=tol,
        max_steps=max_steps,
        callback=callback,
        throw=throw,
    )


def end_points(x0: ArrayLike, x1: ArrayLike) -> tuple[Tensor, Tensor]:
    """Two end points as floating-point tensors of one type and device.

    Args:
        x0, x1: shape (*batch, dim).

    Raises:
        ValueError: the shapes differ, are scalar or empty, or a value is not finite.
    """
    points: list[Tensor] = []
    for name, value in (("x0", x0), ("x1", x1)):
        tensor = torch.as_tensor(value)
        if tensor.dtype not in (torch.float32, torch.float64) or not isinstance(value, Tensor):
            tensor = torch.as_tensor(value, dtype=torch.float64)
        if tensor.ndim == 0 or not tensor.numel():
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}; expected (dim,)")
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} holds a value that is not finite; expected finite numbers")
        points.append(tensor)
    start, end = points
    if start.shape != end.shape:
        raise ValueError(
            f"x0 has shape {tuple(start.shape)} and x1 {tuple(end.shape)}; expected the same shape"
        )
    dtype = torch.promote_types(start.dtype, end.dtype)
    return start.to(dtype), end.to(start.device, dtype)


def initial_paths(
    start: Tensor, end: Tensor, manifold: Manifold, count: int, seed: int = 0
) -> list[Path]:
    """The chord, and chords displaced sideways in pairs of opposite random directions.

    The displacement is half a sine wave whose amplitude is half the length of the chord.

    Args:
        start, end: end points, shape (*batch, dim).
        manifold: the space of the paths.
        count: number of paths, at least 1.
        seed: of the random directions.

    Raises:
        ValueError: ``count`` is below 1.
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
    along = (end - start) / torch.linalg.vector_norm(end - start, dim=-1, keepdim=True).clamp_min(
        1e-30
    )
    direction = torch.zeros_like(start)
    for number in range(1, count):
        if number % 2:
            noise = torch.randn(start.shape, generator=generator, dtype=torch.float64).to(start)
            noise = manifold.to_tangent(manifold.project(start + end + 1e-9 * noise), noise)
            noise = noise - (noise * along).sum(-1, keepdim=True) * along
            direction = noise / torch.linalg.vector_norm(noise, dim=-1, keepdim=True).clamp_min(
                1e-30
            )
        else:
            direction = -direction
        bumped = manifold.project(nodes + 0.5 * span * wave * direction)
        paths.append(Spline(torch.cat([nodes[:1], bumped[1:-1], nodes[-1:]]), manifold))
    return paths
