"""How a boundary value solver ended, and what it reports while it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from diffusion_geodesics.shapes import PathValues, Values


class Result(Enum):
    """How a solver ended, best first. Each value is a message that says what to change."""

    converged = "the residual is below the tolerance"
    length_converged = (
        "the length no longer changes, but the residual is still above the tolerance: "
        "use more nodes, or float64, for a smaller residual"
    )
    unresolved = (
        "the residual is small, but the error bar of the length is more than 5% of it, because "
        "the nodes do not resolve the density barrier: refine, with more intervals, or use a "
        "smaller alpha"
    )
    not_shortest = (
        "a geodesic, but longer than another known path between its ends (its initial path, "
        "another start, or a detour), so that it is not the shortest one: use several starts, "
        "PreconditionedFlow, or more segments of Shooting"
    )
    max_steps = (
        "the residual is still above the tolerance after max_steps steps: raise max_steps, use "
        "more nodes, or a smaller alpha"
    )
    given_up = (
        "the solver gave the last level up before its last step: use another solver, or a "
        "smaller alpha"
    )
    not_converged = (
        "no geodesic was found, the residual stays large: the density barrier alpha * Δ log p is "
        "too strong for these nodes; use a smaller alpha, more nodes, or several starts"
    )
    growth_too_large = (
        "shooting is not possible here: a small error of the initial velocity grows more than its "
        "growth_limit along a ray; use Shooting with more segments, PreconditionedFlow, or a "
        "smaller alpha"
    )
    non_finite = (
        "the score, the path or its length is not finite: check the score at both end points, "
        "use a smaller alpha, or a wider dtype"
    )

    @property
    def message(self) -> str:
        """What happened and what to change."""
        return self.value

    @property
    def ok(self) -> bool:
        """Whether the path can be used as a geodesic."""
        return self in (Result.converged, Result.length_converged)

    @staticmethod
    def worst(results: tuple[Result, ...]) -> Result:
        """The worst of several results."""
        return max(results, key=list(Result).index)


@dataclass(frozen=True)
class Step:
    """One iteration, for progress displays and convergence plots. With several initial paths, path
    = start * pairs + pair."""

    intervals: int
    """Of the current level."""
    iteration: int
    """Number, from 1, counted over all levels."""
    residual: PathValues
    """Relative residual."""
    length: PathValues
    """By the nodes' spline, relative to the start."""
    nfe: int
    """Score evaluations so far."""

    def pair(self, index: int, pairs: int) -> Step:
        """The iteration of one pair, over all its initial paths."""
        return replace(self, residual=self.residual[index::pairs], length=self.length[index::pairs])


@dataclass(frozen=True)
class Start:
    """What became of one initial path."""

    length: Values
    """Relative to the start."""
    residual: Values
    results: tuple[Result, ...]
    """How each pair ended, flat over the batch."""

    def pair(self, index: int) -> Start:
        """The same for one pair."""
        length, residual = (x.flatten()[index] for x in (self.length, self.residual))
        return Start(length, residual, (self.results[index],))


@dataclass(frozen=True)
class GivenUp:
    """A level that the solver ended early for one path."""

    intervals: int
    """Of the level."""
    steps: int
    """Taken on it."""
    path: int
    """Its number; with several initial paths, start * pairs + pair."""
