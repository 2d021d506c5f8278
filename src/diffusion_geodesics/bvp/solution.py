"""What a boundary value solver returns: the path, how it ended, and what it cost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.length import Profile
from diffusion_geodesics.path import Path


class Result(Enum):
    """How a solver ended, best first. Each value is a message that says what to change."""

    converged = "the residual is below the tolerance"
    length_converged = (
        "the length no longer changes, but the residual is still above the tolerance: "
        "use more nodes, or float64, for a smaller residual"
    )
    max_steps = (
        "the residual is still above the tolerance after max_steps steps: raise max_steps, use "
        "more nodes, or a smaller alpha"
    )
    not_converged = (
        "no geodesic was found, the residual stays large: the density barrier alpha * Δ log p is "
        "too strong for these nodes; use a smaller alpha, more nodes, or several starts"
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


_WORST_FIRST = list(reversed(Result))


class GeodesicError(RuntimeError):
    """A solver failed and ``throw=True`` was asked for; ``.solution`` holds what it reached."""

    def __init__(self, solution: Solution):
        super().__init__(
            f"{solution.result.message} (residual {float(solution.residual.max()):.2e} after "
            f"{solution.iterations} iterations)"
        )
        self.solution = solution


@dataclass(frozen=True)
class Step:
    """One iteration, for progress displays and convergence plots.

    Args:
        intervals: intervals of the level the solver is at.
        iteration: number of the iteration, from 1, counted over all levels.
        residual: relative Euler-Lagrange residual, shape (paths,).
        length: length by the nodes' spline, relative to the start, shape (paths,).
        score_evals: score evaluations so far.
    """

    intervals: int
    iteration: int
    residual: Float[Tensor, " paths"]
    length: Float[Tensor, " paths"]
    score_evals: int


@dataclass(frozen=True)
class Start:
    """What became of one initial path. All three over pairs, shape (*batch,) or flat."""

    length: Float[Tensor, "*batch"]
    residual: Float[Tensor, "*batch"]
    results: tuple[Result, ...]


@dataclass(frozen=True)
class Solution:
    """A solved boundary value problem, for one pair of points or a batch of pairs.

    Args:
        path: the geodesic, endpoints exact.
        results: how each pair ended, flat over the batch.
        residual: relative Euler-Lagrange residual, shape (*batch,).
        distance_error: error bar of ``length`` and of ``distance``: the difference of two
            independent quadratures, one at the solver's nodes, one at fresh points.
        profile: density and length along the path, from the verification pass.
        starts: what became of each initial path, in the order given.
        steps: the iterations.
        iterations, calls, score_evals: cost; a score evaluation is one point, a call one batch.
    """

    path: Path
    results: tuple[Result, ...]
    residual: Float[Tensor, "*batch"]
    distance_error: Float[Tensor, "*batch"]
    profile: Profile
    starts: tuple[Start, ...]
    steps: tuple[Step, ...]
    iterations: int
    calls: int
    score_evals: int

    @property
    def result(self) -> Result:
        """How the solver ended; the worst over a batch."""
        return next(r for r in _WORST_FIRST if r in self.results)

    @property
    def converged(self) -> bool:
        """Whether every pair met the tolerance."""
        return self.result is Result.converged

    @property
    def length(self) -> Float[Tensor, "*batch"]:
        """∫ (p(γ)/p(x0))^-α |γ'| dt: density relative to the START of the path."""
        return self.profile.length

    @property
    def distance(self) -> Float[Tensor, "*batch"]:
        """The same with the density relative to the geometric mean of p(x0) and p(x1): it does
        not depend on which end is the start."""
        return self.profile.distance

    @property
    def t(self) -> Float[Tensor, " time"]:
        """Parameters of ``log_density``."""
        return self.profile.t

    @property
    def log_density(self) -> Float[Tensor, "time *batch"]:
        """log p(γ(t)) - log p(x0) in nats, at ``t``."""
        return self.profile.log_density
