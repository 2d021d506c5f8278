r"""Pairs that the triangle inequality proves too long, solved again from the detour.

The shortest path from i to j is no longer than the detour over a third point k,
:math:`d_{ij} \le d_{ik} + d_{kj}`. Where a solved pair exceeds a detour by more than all error
bars, its path is a saddle point or the longer way round, however small its residual. The detour is
then the better initial path: both its halves are geodesics in the right basin. All such pairs are
solved in one batch from it, and again while that shortens any. What is still longer than a detour
gets the detour's length, an upper bound, and ends as ``Result.not_shortest``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.bvp import Result, Solution
from diffusion_geodesics.bvp.checks import SAME_LENGTH
from diffusion_geodesics.distances.checkpoint import RESULTS, PairTable
from diffusion_geodesics.distances.reference import CommonMean, square
from diffusion_geodesics.path import Path, Polyline

ROUNDS = 4
"""Most rounds; another one only follows a round that shortened a pair."""

POINTS = 65
"""Points by which a detour is described."""

SolvePairs = Callable[[Tensor, Tensor, "list[Path] | None"], Solution]
"""Starts, ends and, if not the solver's own, initial paths -> the geodesics of a batch of pairs."""


@dataclass(frozen=True)
class Detours:
    """Detours that are shorter than the paths of some pairs."""

    rows: Int[Tensor, " some"]  # the pairs, as rows of the table
    over: Int[Tensor, " some"]  # the third point of each
    length: Float[Tensor, " some"]  # of each detour, in the unit of the pair's own distance
    relative_error: Float[Tensor, " some"]  # its error bar divided by it


@dataclass
class _Legs:
    """Paths of pairs that were solved again; the others are solved when they are needed."""

    solve: SolvePairs
    points: Tensor
    batch: int
    known: dict[tuple[int, int], Tensor] = field(default_factory=dict)

    def require(self, table: PairTable, pairs: list[tuple[int, int]]) -> PairTable:
        """Solve those that are not known; the table with the cost added."""
        missing = sorted(set(pairs) - self.known.keys())
        for first in range(0, len(missing), self.batch):
            now = missing[first : first + self.batch]
            ends = self.points[torch.tensor(now, device=self.points.device)]
            solution = self.solve(ends[:, 0], ends[:, 1], None)
            table = table.charged(solution)
            self.known.update(zip(now, solution.path(_times()).unbind(1), strict=True))
        return table

    def path(self, start: int, end: int) -> Tensor:
        nodes = self.known[min(start, end), max(start, end)]
        return nodes if start < end else nodes.flip(0)


def shortened(
    table: PairTable,
    pairs: Int[Tensor, "pairs 2"],
    points: Float[Tensor, "points dim"],
    alpha: float,
    solve: SolvePairs,
    batch: int,
) -> PairTable:
    """The table after its triangle inequality was checked."""
    legs = _Legs(solve, points, batch)
    for _ in range(ROUNDS):
        found = detours(table, pairs, len(points), alpha)
        before = table.distance
        for part in torch.arange(len(found.rows)).split(batch) if len(found.rows) else ():
            table = _solved_again(table, pairs, found, part, legs)
        if torch.equal(before, table.distance):
            return _marked(table, found)
    return _marked(table, detours(table, pairs, len(points), alpha))


def detours(table: PairTable, pairs: Int[Tensor, "pairs 2"], count: int, alpha: float) -> Detours:
    """The detours that prove pairs too long, in the metric with one reference density for all."""
    i, j = pairs.T
    finite = torch.isfinite(table.distance) & torch.isfinite(table.log_ratio)
    ratio = table.log_ratio.new_zeros(count, count)
    ratio[i, j] = torch.where(finite, table.log_ratio, 0)
    level = CommonMean().levels(ratio - ratio.T)
    unit = torch.exp(-0.5 * alpha * (level.log_density[i] + level.log_density[j]))
    doubt = table.relative_error + 0.5 * alpha * torch.hypot(level.error[i], level.error[j])
    usable = torch.tensor([RESULTS[code].ok for code in table.code.tolist()]) & finite
    length = torch.where(usable, table.distance * unit, torch.inf)
    low, high = table.distance * unit * (1 - doubt), length * (1 + doubt)
    low = torch.where(finite, low, torch.inf)
    full, upper = (square(x, pairs, count) for x in (length, high))
    best, over = upper.new_full((len(pairs),), torch.inf), torch.zeros_like(i)
    for k in range(count):
        way = torch.where((i == k) | (j == k), torch.inf, upper[i, k] + upper[k, j])
        over, best = torch.where(way < best, k, over), torch.minimum(best, way)
    rows = (low > best * (1 + SAME_LENGTH)).nonzero()[:, 0]
    third = over[rows]
    way = full[i[rows], third] + full[third, j[rows]]
    return Detours(rows, third, way / unit[rows], best[rows] / way - 1)


def _solved_again(
    table: PairTable, pairs: Tensor, found: Detours, part: Tensor, legs: _Legs
) -> PairTable:
    """The table with some pairs solved from their detours, where that made them shorter."""
    rows, third = found.rows[part], found.over[part].tolist()
    ends: list[list[int]] = pairs[rows].tolist()
    halves = [(min(a, k), max(a, k)) for (i, j), k in zip(ends, third, strict=True) for a in (i, j)]
    table = legs.require(table, halves)
    ways = [
        _equidistant(torch.cat([legs.path(i, k), legs.path(k, j)[1:]]))
        for (i, j), k in zip(ends, third, strict=True)
    ]
    at = legs.points[pairs[rows].to(legs.points.device)]
    start: Path = Polyline(torch.stack(ways, 1))
    solution = legs.solve(at[:, 0], at[:, 1], [start])
    usable = torch.tensor([r.ok for r in solution.results])
    old = torch.where(torch.isfinite(table.distance[rows]), table.distance[rows], torch.inf)
    better = (usable & (solution.distance.cpu() < old)).nonzero()[:, 0]
    for place, nodes in enumerate(solution.path(_times()).unbind(1)):
        if place in better:
            i, j = ends[place]
            legs.known[i, j] = nodes
    return table.charged(solution).replaced(rows[better], solution, better)


def _times() -> Tensor:
    return torch.linspace(0, 1, POINTS, dtype=torch.float64)


def _equidistant(nodes: Float[Tensor, "nodes dim"]) -> Float[Tensor, "points dim"]:
    """Points of a polyline at equal distances along it."""
    steps = torch.linalg.vector_norm(nodes[1:] - nodes[:-1], dim=-1)
    moved = steps > 0
    nodes = torch.cat([nodes[:1], nodes[1:][moved]])
    along = torch.cat([steps.new_zeros(1), steps[moved].cumsum(0)])
    at = along[-1] * _times().to(along)
    right = torch.searchsorted(along, at).clamp(1, max(1, len(along) - 1))
    share = (at - along[right - 1]) / (along[right] - along[right - 1])
    return torch.lerp(nodes[right - 1], nodes[right], share[:, None])


def _marked(table: PairTable, found: Detours) -> PairTable:
    """The table with the pairs that are still longer than a detour marked."""
    code = torch.full_like(found.rows, RESULTS.index(Result.not_shortest))
    return replace(
        table,
        distance=table.distance.index_copy(0, found.rows, found.length),
        relative_error=table.relative_error.index_copy(0, found.rows, found.relative_error),
        code=table.code.index_copy(0, found.rows, code),
    )
