"""The interface of boundary value solvers.

Every solver takes a :class:`BoundaryProblem` and returns a :class:`Solution`;
:func:`diffusion_geodesics.bvp.solve_bvp` is the function that users call. Solvers that move the
nodes of a curve step by step derive from :class:`RelaxationSolver`, which provides the loop; the
others (shooting, energy minimisation) implement :meth:`BVPSolver.solve` themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from diffusion_geodesics.bvp.problem import BoundaryProblem
from diffusion_geodesics.bvp.result import Step
from diffusion_geodesics.bvp.solution import Solution


@dataclass(frozen=True)
class Control:
    """When a solver stops, and whom it reports to.

    Args:
        tol: relative residual to reach, between 0 and 1.
        max_steps: most steps on the finest level, ≥ 1.
        callback: called after every iteration; an exception it raises cancels the solver.
    """

    tol: float
    max_steps: int
    callback: Callable[[Step], None] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.tol <= 1 or self.max_steps < 1:
            raise ValueError(
                f"tol is {self.tol} and max_steps {self.max_steps}; expected a relative residual "
                "0 < tol ≤ 1, and max_steps ≥ 1"
            )

    def report(self, step: Step) -> None:
        """Pass an iteration to the callback, if there is one."""
        if self.callback is not None:
            self.callback(step)


class BVPSolver(ABC):
    """A method for boundary value problems."""

    @property
    def default_max_steps(self) -> int:
        """Most steps if the caller does not say."""
        return 60

    @abstractmethod
    def solve(self, problem: BoundaryProblem, control: Control) -> Solution:
        """Solve a problem. A failure is a :class:`Result` of the solution, not an exception.

        Args:
            problem: geometry and initial paths.
            control: tolerance, limit of steps, progress.

        Raises:
            ValueError: the solver does not apply to the problem's geometry.
        """
