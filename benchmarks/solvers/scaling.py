"""What a geodesic costs against the dimension, with peak memory.

Each measurement of a dimension runs in a process of its own, forked from one that has imported
everything and done nothing: its peak resident memory (``ru_maxrss``) less that at its start is
what the problem and the solver took.
"""

from __future__ import annotations

import multiprocessing
import platform
import resource
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from benchmarks.record import Data
from benchmarks.solvers.compare import Row, compare
from benchmarks.solvers.contenders import ENERGY, FLOW, published
from benchmarks.solvers.families import FIRST_SEED
from benchmarks.solvers.lengths import shortest
from diffusion_geodesics.density import GaussianMixture
from tests.problems.families import Problem, scaling, span_of
from tests.problems.stacking import stacked

DIMENSIONS = (2, 8, 64, 512, 4096, 16384, 65536)
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
