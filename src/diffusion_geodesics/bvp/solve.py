"""One function for every boundary value problem and every solver."""

from __future__ import annotations

from collections.abc import Callable

from diffusion_geodesics.bvp.energy_minimiser import EnergyMinimiser
from diffusion_geodesics.bvp.preconditioned import PreconditionedFlow
from diffusion_geodesics.bvp.result import Step
from diffusion_geodesics.bvp.solution import GeodesicError, Solution
from diffusion_geodesics.bvp.solver import BoundaryProblem, BVPSolver, Control
from diffusion_geodesics.metric import Energy


def solve_bvp(
    problem: BoundaryProblem,
    solver: BVPSolver | None = None,
    *,
    tol: float = 1e-3,
    max_steps: int | None = None,
    callback: Callable[[Step], None] | None = None,
    throw: bool = False,
) -> Solution:
    """Solve a boundary value problem.

    Args:
        problem: a geometry, and one initial path or several, of which the shortest solution of
            each pair is returned.
        solver: by default :class:`PreconditionedFlow` for a connection and
            :class:`EnergyMinimiser` for an energy; its cost is in ``solution.nfe``.
        tol: relative residual to reach, between 0 and 1.
        max_steps: most steps on the finest level, ≥ 1; by default the solver's own limit.
        callback: called after every iteration; an exception it raises cancels the solver.
        throw: raise :class:`GeodesicError` if a pair ends without a geodesic. By default a failure
            is a :class:`Result` of the solution.

    Raises:
        TypeError: ``problem`` or ``solver`` is something else.
        ValueError: ``tol`` or ``max_steps`` is out of range, or the solver does not apply to the
            geometry.
    """
    if not isinstance(problem, BoundaryProblem):
        raise TypeError(
            f"got a {type(problem).__name__} as the problem; wrap the geometry and an initial "
            "path: BoundaryProblem(Conformal(score, alpha), Line(x0, x1))"
        )
    if solver is None:
        energy = isinstance(problem.geometry, Energy)
        solver = EnergyMinimiser() if energy else PreconditionedFlow()
    if not isinstance(solver, BVPSolver):
        raise TypeError(
            f"got {solver!r} as the solver; expected an object such as PreconditionedFlow()"
        )
    steps = solver.default_max_steps if max_steps is None else max_steps
    solution = solver.solve(problem, Control(tol, steps, callback))
    if throw and not solution.result.ok:
        raise GeodesicError(solution)
    return solution
