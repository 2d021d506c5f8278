"""The solvers that are compared, each run on a batch of pairs with everything recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.solvers.tape import Iterate, Recorded, RecordedEnergy, Recorder, Tape
from diffusion_geodesics.bvp import (
    BoundaryProblem,
    BVPSolver,
    EnergyMinimiser,
    PublishedDescent,
    Result,
    Shooting,
    Solution,
    StringMethod,
    solve_bvp,
)
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.metric import ConformalMetric, MetricEnergy
from diffusion_geodesics.path import chord
from tests.problems.families import Problem

RATES = (0.1, 0.05, 0.02, 0.01, 0.005)
"""Learning rates that the paper's algorithm is tried with; 0.1 is the published one."""
NODES = 65
"""Nodes at which a path that is returned is measured."""


@dataclass(frozen=True)
class Run:
    """What a solver did on a batch of pairs.

    Args:
        iterates: in order.
        nodes: the curves it returned, shape (n+1, pairs, dim).
        length: what it says their lengths are, shape (pairs,).
        error: its own error bar of them.
        results: how it says each pair ended.
        score_evals, calls: of each pair, to the end, with what verification it does.
        reported_evals: what it says all pairs cost.
        seconds: of all pairs.
    """

    iterates: tuple[Iterate, ...]
    nodes: Tensor
    length: Tensor
    error: Tensor
    results: tuple[Result, ...]
    score_evals: Tensor
    calls: Tensor
    reported_evals: int
    seconds: float


Runner = Callable[[Problem, Tensor | None], Run]
"""Solves a batch; the second argument is an orthonormal basis (dim, few) of a subspace that all
curves lie in, to keep records of curves short, or None."""


@dataclass(frozen=True)
class Contender:
    """A solver under comparison.

    Args:
        name: in tables.
        run: solves a batch.
        finest: intervals from which on a residual counts as reached.
        geodesic: whether it looks for geodesics.
    """

    name: str
    run: Runner
    finest: int = 0
    geodesic: bool = True


def _recorded(
    solve: Callable[[Problem, Tape, Recorder], tuple[Solution, Tensor | float]],
    *,
    curves: bool = True,
) -> Runner:
    """A run of something that gives a solution, and the factor that its lengths lack."""

    def run(problem: Problem, basis: Tensor | None = None) -> Run:
        ends = (problem.manifold.project(x) for x in (problem.start, problem.end))
        start, end = (_in(basis, x) for x in ends)
        tape = Tape(len(start), basis)
        recorder = Recorder(tape, start, end, curves)
        solution, scale = solve(problem, tape, recorder)
        times = torch.linspace(0, 1, NODES, dtype=torch.float64)
        return Run(
            tuple(recorder.iterates),
            _in(basis, solution.path(times)),
            solution.length * scale,
            solution.distance_error * scale,
            solution.results,
            tape.score_evals,
            tape.calls,
            solution.nfe,
            tape.seconds(),
        )

    return run


def _in(basis: Tensor | None, x: Tensor) -> Tensor:
    return x if basis is None else x @ basis


def by_geodesic(
    solver: BVPSolver | None, *, tol: float = 1e-3, max_steps: int = 60, starts: int = 1
) -> Runner:
    """A run by :func:`diffusion_geodesics.geodesic`; with several starts no iterates are kept."""

    def solve(problem: Problem, tape: Tape, recorder: Recorder) -> tuple[Solution, float]:
        found = geodesic(
            Recorded(problem.density, tape, torch.arange(len(problem.start))),
            problem.start,
            problem.end,
            alpha=problem.alpha,
            manifold=problem.manifold,
            solver=solver,
            tol=tol,
            max_steps=max_steps,
            starts=starts,
            callback=recorder if starts == 1 else None,
        )
        return found, 1.0

    return _recorded(solve, curves=not isinstance(solver, Shooting))


def by_energy(*, tol: float = 1e-3, max_steps: int = 200) -> Runner:
    """A run of the energy minimiser, 32 intervals."""

    def solve(problem: Problem, tape: Tape, recorder: Recorder) -> tuple[Solution, Tensor]:
        start, end = (problem.manifold.project(x) for x in (problem.start, problem.end))
        at_start = problem.density.log_prob(torch.zeros(1, dtype=start.dtype), start)
        level = float(at_start.mean())
        metric = ConformalMetric(problem.density, problem.alpha, problem.manifold, level)
        energy = RecordedEnergy(MetricEnergy(metric), tape)
        found = solve_bvp(
            BoundaryProblem(energy, chord(start, end, problem.manifold)),
            EnergyMinimiser(32),
            tol=tol,
            max_steps=max_steps,
            callback=recorder,
        )
        return found, (problem.alpha * (at_start - level)).exp()

    return _recorded(solve)


def published(rate: float, *, gives_up: bool = False) -> Contender:
    """The paper's algorithm at a learning rate, without its rule of giving up unless asked for."""
    solver = PublishedDescent(learning_rate=rate, gives_up=gives_up)
    name = f"published, rate {rate:g}" + ("" if gives_up else ", never gives up")
    return Contender(name, by_geodesic(solver), 16)


FLOW = Contender("flow (default)", by_geodesic(None), 32)
FLOW_STARTS = Contender("flow, 5 starts", by_geodesic(None, starts=5), 32)
PUBLISHED = published(RATES[0], gives_up=True)
MULTIPLE = Contender("multiple shooting, 8", by_geodesic(Shooting(segments=8), max_steps=10))
SINGLE = Contender("single shooting", by_geodesic(Shooting(), max_steps=10))
ENERGY = Contender("energy, L-BFGS", by_energy())
STRING = Contender("string method", by_geodesic(StringMethod()), 32, geodesic=False)

LONG = {
    FLOW.name: by_geodesic(None, tol=1e-5, max_steps=200),
    ENERGY.name: by_energy(tol=1e-5, max_steps=400),
    STRING.name: by_geodesic(StringMethod(), tol=1e-4, max_steps=200),
}
"""Longer runs of those that stop at a tolerance, for what it costs to reach a smaller one."""
