"""What a boundary value solver returns: the path, how it ended, and what it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.length import Profile
from diffusion_geodesics.path import Path

RESOLVED = 1e-2
"""Relative error bar of the length up to which the nodes resolve the density barrier; above it
the solver refines if it can."""

UNRESOLVED = 5e-2
"""Relative error bar of the length above which a path does not count as a geodesic."""

TYPICAL_ENERGY = 0.8
"""Noise energy below which a point is said to have left the typical set."""


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
        "a geodesic, but longer than its initial path, so that it is not the shortest one: use "
        "several starts, PreconditionedFlow, or more segments of Shooting"
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
        "shooting is hopeless here: a small error of the initial velocity grows more than its "
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
        residual: relative residual, shape (paths,).
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
class GivenUp:
    """A level that the solver gave up for one curve.

    Args:
        intervals: of the level.
        steps: steps taken on it.
        path: number of the curve; with several starts, start * pairs + pair.
    """

    intervals: int
    steps: int
    path: int


@dataclass(frozen=True)
class Solution:
    r"""A solved boundary value problem, for one pair of points or a batch of pairs.

    Args:
        path: the geodesic, endpoints exact.
        results: how each pair ended, flat over the batch.
        residual: the solver's relative residual, shape (\*batch,): of the Euler-Lagrange equation
            for geodesics.
        distance_error: error bar of ``length`` and of ``distance``: the difference of two
            independent quadratures, one at the solver's nodes, one at fresh points.
        profile: density and length along the path, from the verification pass.
        starts: what became of each initial path, in the order given.
        steps: the iterations.
        iterations, calls, score_evals: cost; a score evaluation is one point, a call one batch.
        given_up: levels that the solver gave up.
        precision: 1/σ² of the density where the score knows it.
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
    given_up: tuple[GivenUp, ...] = ()
    precision: float | None = None

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
    def resolved(self) -> Bool[Tensor, "*batch"]:
        """Whether the error bar of the length is at most 1% of it."""
        return is_resolved(self.distance_error, self.length)

    @property
    def t(self) -> Float[Tensor, " time"]:
        """Parameters of ``log_density``, ``norm`` and ``noise_energy``."""
        return self.profile.t

    @property
    def log_density(self) -> Float[Tensor, "time *batch"]:
        """log p(γ(t)) - log p(x0) in nats, at ``t``."""
        return self.profile.log_density

    @property
    def gain(self) -> Float[Tensor, "*batch"]:
        """Nats by which the densest point of the path is denser than the denser end: max log p(γ)
        - max(log p(x0), log p(x1)), never negative. A large gain is no sign of quality: in high
        dimension the densest points are not typical."""
        return log_density_gain(self.profile)

    @property
    def norm(self) -> Float[Tensor, "time *batch"]:
        """|γ(t)|, at ``t``. Gaussian noise in d dimensions has norm σ√d."""
        return torch.linalg.vector_norm(self.profile.points, dim=-1)

    @property
    def noise_energy(self) -> Float[Tensor, "time *batch"] | None:
        r"""σ|s(γ(t))|/√d, at ``t``; None where the score does not know its σ.

        About 1 at typical points of a density smoothed by noise of standard deviation σ, because
        σ s is then minus the expected noise; small where the path has shed its noise. Only
        directions that the score sees count: for a density concentrated on k of d dimensions
        the typical value is as given, for one that is broad in them it is below 1.
        """
        if not self.precision:
            return None
        score = self.profile.score
        scale = math.sqrt(self.precision * score.shape[-1])
        return torch.linalg.vector_norm(score, dim=-1) / scale

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before the figures are believed; empty where all is well."""
        found = [r.message for r in sorted(set(self.results), key=list(Result).index) if not r.ok]
        share = (self.distance_error / self.length.clamp_min(1e-30)).max()
        if not bool(self.resolved.all()) and Result.unresolved not in self.results:
            found.append(
                f"refine: the error bar of the length is {100 * float(share):.2g}% of it, because "
                "the nodes do not resolve the density barrier; use more intervals"
            )
        if self.given_up:
            first = self.given_up[0]
            found.append(
                f"{len(self.given_up)} level(s) given up early, the first with {first.intervals} "
                f"intervals after {first.steps} steps"
            )
        energy = self.noise_energy
        if energy is not None:
            ends = torch.minimum(energy[0], energy[-1])
            least = energy.amin(0)
            if bool(((least < TYPICAL_ENERGY) & (least < TYPICAL_ENERGY * ends)).any()):
                found.append(
                    f"the path leaves the typical set: its noise energy falls to "
                    f"{float(least.min()):.2g}, from {float(ends.min()):.2g} at its ends; use a "
                    "smaller alpha, or a typical shell"
                )
        return tuple(found)


def is_resolved(
    error: Float[Tensor, "*batch"], length: Float[Tensor, "*batch"]
) -> Bool[Tensor, "*batch"]:
    """Whether the error bar is at most 1% of the length."""
    return error <= RESOLVED * length


def log_density_gain(profile: Profile) -> Float[Tensor, "*batch"]:
    """Nats gained over the denser end of a path."""
    ends = profile.log_density[[0, -1]].amax(0)
    return (profile.log_density.amax(0) - ends).clamp_min(0)
