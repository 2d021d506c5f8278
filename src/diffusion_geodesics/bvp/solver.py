"""The interface of boundary value solvers: levels of refinement, and one step at a time.

A solver never calls the score. The one loop (:func:`diffusion_geodesics.bvp.solve_bvp`) evaluates
the curve, checks it, counts and keeps the best; the solver is given that evaluation and moves the
nodes. To add a solver, write these three methods; it then runs the conformance suite.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import Evaluation
from diffusion_geodesics.metric import Connection


@dataclass(frozen=True)
class Level:
    """One level of refinement.

    Args:
        intervals: number of intervals, at least 4.
        residual: residual at which the level is left.
        length_change: relative change of length at which it is left, if it holds for 3 steps.
        max_steps: steps after which it is left anyway.
    """

    intervals: int
    residual: float
    length_change: float
    max_steps: int

    def __post_init__(self) -> None:
        if self.intervals < 4:
            raise ValueError(f"a level has {self.intervals} intervals; expected at least 4")


State = TypeVar("State")


class BVPSolver(ABC, Generic[State]):
    """Moves the interior nodes of a batch of curves towards geodesics."""

    @abstractmethod
    def levels(self, tol: float, max_steps: int) -> Sequence[Level]:
        """The levels, coarse to fine; the last one is left at residual ``tol``."""

    @abstractmethod
    def init(self, evaluation: Evaluation) -> State:
        """The state at the start of a level."""

    @abstractmethod
    def move(
        self, connection: Connection, evaluation: Evaluation, state: State
    ) -> tuple[Float[Tensor, "inner paths dim"], State]:
        """The step to add to the interior nodes, and the next state. Costs no score evaluation.

        Steps of curves that are done are ignored; steps that are not finite end a curve.
        """
