"""The interface of boundary value solvers: levels of refinement, and one step at a time.

A solver never calls the score. The one loop (:func:`diffusion_geodesics.bvp.solve_bvp`) evaluates
the curve, checks it, counts and keeps the best; the solver is given that evaluation and moves the
nodes. To add a solver, write three methods; it then runs the conformance suite. A solver that looks
for another kind of curve than a geodesic also says what its residual is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp.euler_lagrange import Evaluation
from diffusion_geodesics.metric import Connection


class Between(Enum):
    """The curve between the nodes of one level, from which the next level takes its nodes."""

    spline = "cubic spline"
    segments = "the manifold's own geodesic from each node to the next: lerp, or slerp"


@dataclass(frozen=True)
class Level:
    """One level of refinement.

    Args:
        intervals: number of intervals, at least 2.
        residual: residual at which the level is left; 0 to take all its steps.
        length_change: relative change of length at which it is left, if it holds for 3 steps; 0
            for never.
        max_steps: steps after which it is left anyway.
        average_last: what is kept of a curve that did not meet ``residual``: 0 keeps the iterate
            with the smallest residual, 1 the last one, m > 1 the mean of the last m, which is what
            a noisy score needs (one more evaluation and call).
        between: how the nodes of this level are made from those of the one before.
        if_unresolved: take this level only for pairs whose length is not resolved by the levels
            before it; see ``Solution.resolved``.
    """

    intervals: int
    residual: float
    length_change: float
    max_steps: int
    average_last: int = 0
    between: Between = Between.spline
    if_unresolved: bool = False

    def __post_init__(self) -> None:
        if self.intervals < 2:
            raise ValueError(f"a level has {self.intervals} intervals; expected at least 2")
        if self.average_last < 0:
            raise ValueError(f"average_last is {self.average_last}; expected 0 or more iterates")


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

        Steps of curves that are done are ignored; steps that are not finite end a curve, and a
        step of exactly zero gives it up: the loop ends its level and reports it in
        ``Solution.given_up``.
        """

    def residual(self, connection: Connection, evaluation: Evaluation) -> Float[Tensor, " paths"]:
        """What is zero for the curves this solver looks for: the relative Euler-Lagrange residual,
        unless it looks for others. Costs no score evaluation."""
        return evaluation.residual

    @property
    def seeks_geodesics(self) -> bool:
        """Whether the curves looked for are geodesics, none of which is the shortest if it is
        longer than its initial path; the loop then says so."""
        return True
