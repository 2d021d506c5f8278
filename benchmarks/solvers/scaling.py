"""What a geodesic costs against the dimension, with peak memory, and against the nodes.

Each measurement of a dimension runs in a process of its own, forked from one that has imported
everything and done nothing: its peak resident memory (``ru_maxrss``) less that at its start is
what the problem and the solver took.
"""

from __future__ import annotations

import multiprocessing
import platform
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.record import Data
from benchmarks.solvers.compare import Row, compare
from benchmarks.solvers.contenders import ENERGY, FLOW, published
from benchmarks.solvers.families import FIRST_SEED
from benchmarks.solvers.lengths import shortest, true_length
from diffusion_geodesics.bvp import BoundaryProblem, PreconditionedFlow, Solution, solve_bvp
from diffusion_geodesics.density import GaussianMixture
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Path, chord
from tests.problems.families import Problem, scaling, span_of
from tests.problems.reference import REFERENCES
from tests.problems.stacking import stacked

DIMENSIONS = (2, 8, 64, 512, 4096, 16384, 65536)
NODES = (8, 16, 32, 64, 128)
NODES_ON = (
    "Gaussian, α 0.1, radius 8, angle 2",
    "von Mises-Fisher, ακ 2",
    "arc, 64-d, α 0.1",
    "arc, 64-d, α 1",
)
SCALED = {c.name: c for c in (FLOW, published(0.1), ENERGY)}
SLOW, SLOW_ABOVE = ENERGY.name, 512
"""A contender that is not taken beyond so many dimensions: for its time."""
ONE_SEED_FROM = 512


def _peak() -> float:
    """Peak resident memory so far, in MB (10⁶ bytes)."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def reduced(problem: Problem) -> tuple[Problem, Tensor]:
    """A problem with a mixture in the span of its means and ends, and the basis of that span."""
    density = problem.density
    if not isinstance(density, GaussianMixture):
        raise TypeError(f"got {type(density).__name__}; expected a mixture")
    points = torch.cat([problem.start[None], problem.end[None], density.means])
    basis = torch.from_numpy(np.ascontiguousarray(span_of(points.numpy())))
    small = GaussianMixture(density.means @ basis, density.stds, density.weights)
    ends = problem.start @ basis, problem.end @ basis
    return Problem(small, *ends, problem.alpha, problem.manifold), basis


def dimension_row(dim: int, solver: str, seeds: Sequence[int]) -> Data:
    """One contender in ``dim`` dimensions, every coordinate of them: a row a seed, and megabytes of
    peak resident memory over that at the start of the process."""
    torch.set_num_threads(1)
    before = _peak()
    rows: list[Row] = []
    for seed in seeds:
        problem = scaling(seed, dim)
        small, basis = reduced(problem)
        one, full = stacked([small]), stacked([problem])
        length = shortest(one).length
        rows.append(compare(f"{dim}-d", False, full, SCALED[solver], length, basis, one))
    used = _peak() - before
    return {"dim": dim, "solver": solver, "rows": [asdict(r) for r in rows], "megabytes": used}


def dimensions(of: Sequence[int], seeds: int, tell: Callable[[str], None]) -> Data:
    """All dimensions and contenders; from ``ONE_SEED_FROM`` on one seed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.solvers.scaling"])
    rows: list[Data] = []
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        for dim in of:
            for name in SCALED:
                if name == SLOW and dim > SLOW_ABOVE:
                    continue
                tell(f"{dim} dimensions, {name}")
                some = [FIRST_SEED + i for i in range(seeds if dim < ONE_SEED_FROM else 1)]
                rows.append(pool.submit(dimension_row, dim, name, some).result())
    return {"rows": rows}


@dataclass(frozen=True)
class NodesRow:
    """The flow on one level of n intervals, on one reference problem.

    Args:
        score_evals, calls: of a run to residual 1e-3, verification included.
        residual: reached by the run to 1e-9.
        length_error: of its curve, relative.
        path_error: largest distance to the solution with 512 intervals, over its chord.
    """

    problem: str
    intervals: int
    result: str
    score_evals: int
    calls: int
    residual: float
    length_error: float
    path_error: float


def _nodes_rows(problem: Problem, name: str, of: Sequence[int]) -> Iterator[NodesRow]:
    one = stacked([problem])
    connection = Conformal(problem.density, problem.alpha, problem.manifold)
    straight = chord(problem.start, problem.end, problem.manifold)

    def solve(intervals: tuple[int, ...], tol: float, path: Path = straight) -> Solution:
        flow, start = PreconditionedFlow(intervals), BoundaryProblem(connection, path)
        return solve_bvp(start, flow, tol=tol, max_steps=200, throw=False)

    def nodes(solution: Solution, n: int) -> Tensor:
        return solution.path(torch.linspace(0, 1, n + 1, dtype=torch.float64))[:, None]

    best = solve((512,), 1e-6, solve((32, 128), 1e-6).path)
    length = float(true_length(one, nodes(best, 512)))
    for n in of:
        quick, sharp = solve((n,), 1e-3), solve((n,), 1e-9)
        error = (nodes(sharp, 64) - nodes(best, 64)).norm(dim=-1).max()
        yield NodesRow(
            name,
            n,
            quick.result.name,
            quick.nfe,
            quick.batches,
            float(sharp.residual),
            abs(float(true_length(one, nodes(sharp, n))) / length - 1),
            float(error / (problem.end - problem.start).norm()),
        )


def order(sizes: Sequence[int], errors: Sequence[float]) -> float:
    """Observed order of convergence: minus the slope of log error against log nodes."""
    return -float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])


def nodes(of: Sequence[int], problems: Sequence[str], tell: Callable[[str], None]) -> Data:
    """Cost and error of the flow against the number of intervals, and the orders."""
    known = {r.name: r for r in REFERENCES}
    rows: list[NodesRow] = []
    orders: list[Data] = []
    for name in problems:
        tell(f"nodes, {name}")
        found = list(_nodes_rows(known[name].make(), name, of))
        rows += found
        fitted = found[1:] if len(found) > 2 else found
        sizes = [r.intervals for r in fitted]
        path = order(sizes, [r.path_error for r in fitted])
        length = order(sizes, [max(r.length_error, 1e-15) for r in fitted])
        orders.append({"problem": name, "path": path, "length": length})
    return {"rows": [asdict(r) for r in rows], "orders": orders}
