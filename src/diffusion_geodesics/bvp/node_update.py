"""How a relaxation solver moves the nodes of a curve: its levels of refinement, and one step.

A node update does not evaluate the score. The level loop (:mod:`.level_loop`) evaluates the curve,
checks it, counts the cost and keeps the best iterate; the update is given that evaluation and
returns a step of the nodes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from diffusion_geodesics.bvp.euler_lagrange import Evaluation
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.shapes import Nodes, PathValues


@dataclass(frozen=True)
class Level:
    """One level of refinement.

    Args:
        intervals: between the nodes; max_steps: most steps on the level.
        residual: residual at which the level ends; 0 to take all its steps.
        length_change: relative change of the length at which the level ends, if it holds for 3
            steps; 0 for never.
        average_last: what is kept of a curve that did not meet ``residual``: 0 keeps the iterate
            with the smallest residual, m > 0 the mean of the last m, which is what a noisy score
            needs (one more evaluation of the curve).
        if_unresolved: use this level only for pairs whose length the levels before it did not
            resolve.

    Raises:
        ValueError: ``intervals`` is below 2 or ``average_last`` negative.
    """

    intervals: int
    residual: float
    length_change: float
    max_steps: int
    average_last: int = 0
    if_unresolved: bool = False

    def __post_init__(self) -> None:
        if self.intervals < 2:
            raise ValueError(f"a level has {self.intervals} intervals; expected at least 2")
        if self.average_last < 0:
            raise ValueError(f"average_last is {self.average_last}; expected 0 or more iterates")


State = TypeVar("State")


class NodeUpdate(ABC, Generic[State]):
    """Moves the interior nodes of a batch of curves towards geodesics."""

    @abstractmethod
    def levels(self, tol: float, max_steps: int) -> Sequence[Level]:
        """The levels, coarse to fine."""

    @abstractmethod
    def init(self, evaluation: Evaluation) -> State:
        """The state at the start of a level."""

    @abstractmethod
    def move(
        self, connection: Connection, evaluation: Evaluation, state: State
    ) -> tuple[Nodes, State]:
        """The step of the interior nodes, and the next state. Evaluates no score.

        Steps of curves that are finished are ignored. A step that is not finite ends a curve. A
        step of exactly zero ends the curve's level; it is reported in ``Solution.given_up``."""

    def residual(self, connection: Connection, evaluation: Evaluation) -> PathValues:
        """What is zero for the curves that this solver looks for.

        By default the relative Euler-Lagrange residual. Evaluates no score."""
        return evaluation.residual

    @property
    def seeks_geodesics(self) -> bool:
        """Whether the curves looked for are geodesics. A geodesic that is longer than its initial
        path is not the shortest one, and the solution then says so."""
        return True
