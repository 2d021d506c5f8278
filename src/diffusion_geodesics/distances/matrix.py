"""Distances of all pairs of n points, in batches, resumable."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.bvp import BVPSolver, PreconditionedFlow, Result, Solution, Step
from diffusion_geodesics.density import Score
from diffusion_geodesics.distances.checkpoint import (
    RESULTS,
    PairTable,
    fingerprint,
    load_table,
    save_table,
)
from diffusion_geodesics.distances.reference import CommonMean, Reference, disagreement, square
from diffusion_geodesics.distances.triangles import shortened
from diffusion_geodesics.geodesics import solve_pairs
from diffusion_geodesics.manifold import Manifold, placed
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Path
from diffusion_geodesics.points import ArrayLike, as_points


@dataclass(frozen=True)
class Progress:
    """Progress of a distance matrix."""

    done: int  # pairs solved
    of: int  # pairs in all
    step: Step | None = None  # last iteration of the batch being solved; None between batches


@dataclass(frozen=True)
class DistanceMatrix:
    """Distances of all pairs of n points; symmetric, zero on the diagonal.

    Args:
        relative: distances by :class:`EndsMean`, each pair with its own reference.
        relative_error: their error bars divided by them.
        log_ratio: log p(x_j) - log p(x_i) along the path from i to j; antisymmetric.
        reference: reference density of ``values``.
        pairs: (i, j) with i < j, the order of ``results`` and ``residual``.
        results: how the solver ended. If one is not ``ok`` the value is the length of the best
            path found, an upper bound; ``Result.not_shortest`` marks the pairs that violate the
            triangle inequality even when solved from the detour.
        nfe, batches: cost, over all runs that contributed.
    """

    relative: Float[Tensor, "points points"]
    relative_error: Float[Tensor, "points points"]
    log_ratio: Float[Tensor, "points points"]
    alpha: float
    reference: Reference
    pairs: Int[Tensor, "pairs 2"]
    results: tuple[Result, ...]
    residual: Float[Tensor, " pairs"]
    nfe: int
    batches: int

    @property
    def log_values(self) -> Float[Tensor, "points points"]:
        """Logarithms of the distances; -∞ on the diagonal. Absolute distances may overflow."""
        known = self.reference.levels(self.log_ratio)
        if known is None:
            return self.relative.log()
        level = known.log_density
        return self.relative.log() - 0.5 * self.alpha * (level[:, None] + level[None, :])

    @property
    def values(self) -> Float[Tensor, "points points"]:
        """The distances."""
        return self.log_values.exp()

    @property
    def errors(self) -> Float[Tensor, "points points"]:
        """Error bars: of the quadrature and of the reference; for :class:`CommonMean` the latter is
        how far the paths disagree on log densities."""
        known = self.reference.levels(self.log_ratio)
        part = self.relative_error
        if known is not None:
            part = part + 0.5 * self.alpha * torch.hypot(known.error[:, None], known.error[None, :])
        return torch.where(self.relative > 0, self.values * part, 0)

    @property
    def log_density(self) -> Float[Tensor, " points"] | None:
        """log p of the points relative to the reference; None if every pair has its own."""
        known = self.reference.levels(self.log_ratio)
        return None if known is None else known.log_density

    @property
    def density_disagreement(self) -> float:
        """Root mean square disagreement of the paths on log p in nats; 0 for an exact score."""
        return float(disagreement(self.log_ratio).square().mean().sqrt())

    @property
    def failed(self) -> tuple[tuple[int, int], ...]:
        """Pairs for which no geodesic was found."""
        listed = self.pairs.tolist()
        return tuple((i, j) for (i, j), r in zip(listed, self.results, strict=True) if not r.ok)

    def under(self, reference: Reference) -> DistanceMatrix:
        """The same distances with another reference, without further evaluations."""
        return replace(self, reference=reference)


def distance_matrix(
    score_or_density: Score | Callable[[Tensor], Tensor],
    points: ArrayLike,
    *,
    alpha: float = 1.0,
    manifold: Manifold | None = None,
    solver: BVPSolver | None = None,
    reference: Reference | None = None,
    tol: float = 1e-3,
    max_steps: int = 60,
    starts: int = 1,
    seed: int = 0,
    batch: int = 64,
    resume: FilePath | None = None,
    identity: str = "",
    callback: Callable[[Progress], None] | None = None,
) -> DistanceMatrix:
    """Geodesic distances of all pairs.

    Pairs that a detour over a third point proves too long are solved again from the detour
    (:mod:`diffusion_geodesics.distances.triangles`).

    Args:
        score_or_density: a score, a density, or a function x -> s(x).
        points: at least two, shape (points, dim), as a tensor, an array or lists; projected onto
            the manifold.
        alpha, manifold, solver, tol, max_steps, starts, seed: as for
            :func:`diffusion_geodesics.geodesic`; one start by default, because the triangle
            inequality finds what several starts would.
        reference: :class:`CommonMean` by default; ``DistanceMatrix.under`` changes it later.
        batch: number of pairs solved in one batch, ≥ 1.
        resume: a file to which every finished batch is written atomically; pairs in it are not
            computed again, and the result equals that of an uninterrupted run.
        identity: a name for the score, by which the file of another score is recognised.
        callback: called with the progress; an exception it raises cancels the computation.

    Raises:
        ValueError: fewer than two points, ``batch`` below 1, a file to resume from that belongs to
            another computation, or an error of :func:`diffusion_geodesics.geodesics`.

    Cost:
        n (n - 1) / 2 geodesics of some 170 to 330 score evaluations each on smooth problems, with
        about as many batches per ``batch`` pairs as one geodesic takes; about three more geodesics
        for every pair that was too long.
    """
    connection = Conformal(score_or_density, alpha, manifold)
    space, strength = connection.manifold, connection.weight.constant_slope
    if strength is None:
        raise ValueError(
            f"the weight {alpha} is no power of the density, so that distances depend on the "
            "reference in another way for each pair; expected a number or Power(alpha)"
        )
    places = placed(as_points(points, "points", axes=2), space, "points")
    if len(places) < 2 or batch < 1:
        raise ValueError(
            f"got {len(places)} points and batch {batch}; expected at least 2 points and 1 a batch"
        )
    method = PreconditionedFlow(refine=(64,)) if solver is None else solver
    pairs = torch.combinations(torch.arange(len(places)))
    settings = (alpha, space, method, tol, max_steps, starts, seed, batch)
    mark = fingerprint(places, *settings, identity, type(connection.score).__name__)
    table = PairTable.empty() if resume is None else load_table(resume, mark)

    def report(step: Step | None = None) -> None:
        if callback is not None:
            callback(Progress(len(table), len(pairs), step))

    def solve(start: Tensor, end: Tensor, paths: list[Path] | None) -> Solution:
        known = starts if paths is None else paths
        limits: dict[str, Any] = {"tol": tol, "max_steps": max_steps, "starts": known, "seed": seed}
        return solve_pairs(connection, start, end, solver=method, **limits, callback=report)

    def kept(table: PairTable) -> PairTable:
        if resume is not None:
            save_table(resume, table, mark)
        return table

    report()
    while len(table) < len(pairs):
        now = pairs[len(table) : len(table) + batch].to(places.device)
        table = kept(table.extended(solve(places[now[:, 0]], places[now[:, 1]], None)))
        report()
    if not bool(table.checked):
        table = shortened(table, pairs, places, strength, solve, batch)
        table = kept(replace(table, checked=torch.ones_like(table.checked)))
    count = len(places)
    return DistanceMatrix(
        relative=square(table.distance, pairs, count),
        relative_error=square(table.relative_error, pairs, count),
        log_ratio=square(table.log_ratio, pairs, count, -1),
        alpha=strength,
        reference=CommonMean() if reference is None else reference,
        pairs=pairs,
        results=tuple(RESULTS[code] for code in table.code.tolist()),
        residual=table.residual,
        nfe=int(table.cost[0]),
        batches=int(table.cost[1]),
    )
