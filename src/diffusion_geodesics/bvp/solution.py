"""What every boundary value solver returns: the path, how it ended, and what it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.bvp.checks import Circulation
from diffusion_geodesics.bvp.result import GivenUp, Result, Start, Step
from diffusion_geodesics.length import LengthProfile, Profile, one_pair
from diffusion_geodesics.path import Spline
from diffusion_geodesics.shapes import Values

RESOLVED = 1e-2
"""Relative error bar of the length up to which the nodes resolve the density barrier; above it
the solver refines if it can."""

UNRESOLVED = 5e-2
"""Relative error bar of the length above which a path does not count as a geodesic."""

TYPICAL_ENERGY = 0.8
"""Noise energy below which a point is said to have left the typical set."""


class GeodesicError(RuntimeError):
    """A solver failed and ``throw=True`` was asked for; ``.solution`` holds what it reached."""

    def __init__(self, solution: Solution):
        super().__init__(
            f"{solution.result.message} (residual {float(solution.residual.max()):.2e} after "
            f"{solution.iterations} iterations)"
        )
        self.solution = solution

    def __reduce__(self) -> tuple[type[GeodesicError], tuple[Solution]]:
        return type(self), (self.solution,)


@dataclass(frozen=True)
class Solution:
    r"""A path between two points, for one pair of points or a batch of pairs.

    Args:
        path: the geodesic, end points exact.
        results: how each pair ended, flat over the batch.
        residual: the solver's relative residual: of the Euler-Lagrange equation for geodesics.
        distance_error: error bar of ``length`` and of ``distance``: the difference of two
            independent quadratures, one at the solver's nodes, one at new points.
        lengths: length along the path; a :class:`Profile`, with log densities, if the geometry has
            a score.
        starts: what became of each initial path, in the order given.
        steps: every iteration, in order.
        nfe, batches: score evaluations and their batches.
        given_up: levels that the solver ended early.
        precision: 1/σ² of the density where the score knows it.
        circulation: of the score around the path and its chord, where it was measured.
    """

    path: Spline
    results: tuple[Result, ...]
    residual: Values
    distance_error: Values
    lengths: LengthProfile
    starts: tuple[Start, ...]
    steps: tuple[Step, ...]
    batches: int
    nfe: int
    given_up: tuple[GivenUp, ...] = ()
    precision: float | None = None
    circulation: Circulation | None = None

    def __repr__(self) -> str:
        low, high = float(self.distance.min()), float(self.distance.max())
        one = self.residual.ndim == 0
        return (
            f"Solution({'' if one else f'pairs {tuple(self.residual.shape)}, worst: '}"
            f"{self.result.name}, distance {f'{low:.5g}' if one else f'{low:.5g} to {high:.5g}'} "
            f"± {float(self.distance_error.max()):.1g}, "
            f"residual {float(self.residual.max()):.1g}, {self.nfe} score evaluations)"
        )

    @property
    def iterations(self) -> int:
        """Number of iterations."""
        return len(self.steps)

    @property
    def result(self) -> Result:
        """How the solver ended; the worst over a batch."""
        return Result.worst(self.results)

    @property
    def converged(self) -> bool:
        """Whether every pair met the tolerance."""
        return self.result is Result.converged

    @property
    def profile(self) -> Profile:
        """Density and length along the path, from the verification pass; `ValueError` if the
        geometry is an :class:`Energy`, which has no log density."""
        if isinstance(self.lengths, Profile):
            return self.lengths
        raise ValueError(
            "this solution is of an Energy, which has no log density; only its lengths are known "
            "(length, arc_length, distance_error)"
        )

    @property
    def length(self) -> Values:
        """∫ (p(γ)/p(x0))^-α |γ'| dt: density relative to the START of the path."""
        return self.lengths.length

    @property
    def distance(self) -> Values:
        """The same with the density relative to the geometric mean of p(x0) and p(x1): it does
        not depend on which end is the start."""
        return self.lengths.distance

    @property
    def arc_length(self) -> Float[Tensor, "time *batch"]:
        """Metric length from the start, at ``t``."""
        return self.lengths.arc_length

    @property
    def resolved(self) -> Bool[Tensor, "*batch"]:
        """Whether the error bar of the length is at most 1% of it."""
        return is_resolved(self.distance_error, self.length)

    @property
    def t(self) -> Float[Tensor, " time"]:
        """Parameters of ``arc_length``, ``log_density``, ``norm`` and ``noise_energy``."""
        return self.lengths.t

    @property
    def log_density(self) -> Float[Tensor, "time *batch"]:
        """log p(γ(t)) - log p(x0) in nats, at ``t``."""
        return self.profile.log_density

    @property
    def gain(self) -> Values:
        """max log p(γ) - max(log p(x0), log p(x1)) in nats, never negative. A large gain is no
        sign of quality: in high dimension the densest points are not typical."""
        return log_density_gain(self.profile)

    @property
    def norm(self) -> Float[Tensor, "time *batch"]:
        """|γ(t)|, at ``t``. Gaussian noise in d dimensions has norm σ√d."""
        return torch.linalg.vector_norm(self.lengths.points, dim=-1)

    @property
    def noise_energy(self) -> Float[Tensor, "time *batch"] | None:
        r""":math:`\sigma |s(\gamma(t))| / \sqrt d`, at ``t``; None where σ is not known.

        About 1 at typical points of a density smoothed by noise of standard deviation σ (below 1
        where it is broad in some dimensions), because σ s is then minus the expected noise; small
        where the path has lost its noise.
        """
        if not self.precision or not isinstance(self.lengths, Profile):
            return None
        score = self.lengths.score
        scale = math.sqrt(self.precision * score.shape[-1])
        return torch.linalg.vector_norm(score, dim=-1) / scale

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before using the numbers; empty if there is nothing."""
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
        turn = self.circulation
        if turn is not None and bool(turn.large.any()):
            found.append(
                "the score is no gradient of a density: its line integral around the path and the "
                f"chord is {float(turn.value.abs().max()):.2g} nats, not 0; lengths and log "
                "densities depend on the way they are integrated"
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

    def pair(self, index: int) -> Solution:
        """The solution of one pair of a batch; ``nfe`` and ``batches`` remain those of the batch,
        because its pairs share the batches. `IndexError` if there is no such pair."""
        pairs, batch = len(self.results), self.residual.shape
        if not 0 <= index < pairs:
            raise IndexError(f"pair {index} of {pairs}; expected 0 to {pairs - 1}")
        mine = [g for g in self.given_up if g.path % pairs == index]
        return replace(
            self,
            path=replace(self.path, nodes=one_pair(self.path.nodes, batch, index, 1)),
            results=(self.results[index],),
            residual=self.residual.flatten()[index],
            distance_error=self.distance_error.flatten()[index],
            lengths=self.lengths.pair(index),
            starts=tuple(start.pair(index) for start in self.starts),
            steps=tuple(step.pair(index, pairs) for step in self.steps),
            given_up=tuple(replace(g, path=g.path // pairs) for g in mine),
            circulation=None if self.circulation is None else self.circulation.pair(index),
        )


def is_resolved(error: Values, length: Values) -> Bool[Tensor, "*batch"]:
    """Whether the error bar is at most 1% of the length."""
    return error <= RESOLVED * length


def log_density_gain(profile: Profile) -> Values:
    """Nats by which the densest point of a path exceeds the denser of its ends."""
    ends = profile.log_density[[0, -1]].amax(0)
    return (profile.log_density.amax(0) - ends).clamp_min(0)
