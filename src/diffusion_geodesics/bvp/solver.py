"""The interface of boundary value solvers; :class:`RelaxationSolver` provides the loop for those
that move the nodes of a curve step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from diffusion_geodesics.bvp.problem import BoundaryProblem
from diffusion_geodesics.bvp.result import Step
from diffusion_geodesics.bvp.solution import Solution


@dataclass(frozen=True)
class Control:
    """When a solver stops, and whom it reports to."""

    tol: float  # relative residual to reach, between 0 and 1
    max_steps: int  # most steps on the finest level, ≥ 1
    callback: Callable[[Step], None] | None = None  # after every iteration; may raise to cancel

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
        """Solve a problem. A failure is a :class:`Result` of the solution, not an exception;
        `ValueError` if the solver does not apply to the problem's geometry."""
