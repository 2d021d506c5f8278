"""What an initial value solver returns: the ray, how it ended, its error, and its cost."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.ivp.hermite import Hermite


class RayResult(Enum):
    """How a ray ended. Each value is a message."""

    completed = "the ray was followed to the end of its parameter"
    length_reached = "the ray has the metric length asked for"
    arc_reached = "the ray has the Euclidean length asked for"
    left_typical_set = (
        "the noise energy σ|s|/√d left its band: beyond this point the score is not that of "
        "noised data; use a shorter velocity, a smaller alpha, or a sphere"
    )
    left_norms = "the norm of the points left its band: use a shorter velocity, or a sphere"
    max_steps = (
        "no stop was met within max_steps steps: raise max_steps, loosen the tolerance, or check "
        "that the stop can be met (towards high density a ray may have a finite length)"
    )
    step_too_small = (
        "the steps became too small: the tolerance is below rounding error, or the density changes "
        "too fast; loosen the tolerance, or use a wider dtype"
    )
    non_finite = (
        "the score or the length is not finite beyond this point: the ray left the region where "
        "the density is defined; use a shorter velocity, a smaller alpha, or a wider dtype"
    )

    @property
    def message(self) -> str:
        """What happened and what to change."""
        return self.value

    @property
    def ok(self) -> bool:
        """Whether the ray ended as it was asked to, at its end or at a stop."""
        return self not in (RayResult.max_steps, RayResult.step_too_small, RayResult.non_finite)


_WORST_FIRST = list(reversed(RayResult))


@dataclass(frozen=True)
class Ray:
    """A geodesic followed from a point in a direction, or a batch of them.

    Args:
        path: the curve, its parameter scaled to [0, 1] (0 at the start, 1 where the ray ended).
        results: how each ray ended, flat over the batch.
        t: curve parameter at the nodes; repeated where a ray did not move (it had ended, or its
            step was rejected).
        nodes, velocities: points and dγ/dt there.
        log_density: log p - log p(start) there, in nats.
        lengths, arcs: metric length (with the density relative to the start) and Euclidean length
            from the start to there.
        growth: growth factor of small errors: a turn of the initial velocity by a small angle ε
            moves the end sideways by growth · ε · arc length. It is 1 in flat space; measured
            along one random direction with a companion ray. NaN if not measured.
        error: estimated Euclidean error of the end point, from a second, coarser run. NaN if not
            estimated.
        nfe, batches: score evaluations and their batches.
    """

    path: Hermite
    results: tuple[RayResult, ...]
    t: Float[Tensor, "nodes *batch"]
    nodes: Float[Tensor, "nodes *batch dim"]
    velocities: Float[Tensor, "nodes *batch dim"]
    log_density: Float[Tensor, "nodes *batch"]
    lengths: Float[Tensor, "nodes *batch"]
    arcs: Float[Tensor, "nodes *batch"]
    growth: Float[Tensor, "*batch"]
    error: Float[Tensor, "*batch"]
    batches: int
    nfe: int

    @property
    def result(self) -> RayResult:
        """How the ray ended; the worst over a batch."""
        return next(r for r in _WORST_FIRST if r in self.results)

    @property
    def end(self) -> Float[Tensor, "*batch dim"]:
        """Where the ray ended."""
        return self.nodes[-1]

    @property
    def end_velocity(self) -> Float[Tensor, "*batch dim"]:
        """dγ/dt there."""
        return self.velocities[-1]

    @property
    def length(self) -> Float[Tensor, "*batch"]:
        """Metric length of the ray, with the density relative to the start."""
        return self.lengths[-1]

    @property
    def arc(self) -> Float[Tensor, "*batch"]:
        """Euclidean length of the ray."""
        return self.arcs[-1]
