"""What a solver asks of a score, problem by problem, and what it costs until then.

The random problems of a family are solved in one batch, each with its own density; a batch is a
loop, as the solvers' own tests hold, so that every problem is charged what it would cost alone.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.bvp import Step
from diffusion_geodesics.density import Density
from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.metric import Energy


class Tape:
    """What each of some pairs has cost so far, and the points asked for last."""

    def __init__(self, pairs: int, basis: Tensor | None = None):
        self.score_evals = torch.zeros(pairs, dtype=torch.long)
        self.calls = torch.zeros(pairs, dtype=torch.long)
        self.rows = torch.arange(pairs)
        self.points = torch.empty(0)
        self.basis = basis
        self.began = time.perf_counter()

    def seconds(self) -> float:
        """Since the tape was made."""
        return time.perf_counter() - self.began

    def record(self, rows: Tensor, points: Tensor, cost: int | None = None, calls: int = 1) -> None:
        """Points (*any, len(rows), dim) were asked for, of the pairs ``rows``."""
        times = torch.bincount(rows, minlength=len(self.calls))
        each = points[..., 0].numel() // len(rows) if cost is None else cost
        self.score_evals += times * each
        self.calls += (times > 0) * calls
        kept = points.detach()
        self.rows, self.points = rows, kept if self.basis is None else kept @ self.basis


@dataclass(frozen=True)
class Recorded(Density):
    """A density whose scores are recorded on a tape; ``rows`` are the pairs of its paths."""

    density: Density
    tape: Tape
    rows: Int[Tensor, " paths"]

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        self.tape.record(self.rows, x)
        return self.density(t, x)

    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        return self.density.log_prob(t, x)

    @property
    def precision(self) -> float | None:
        return self.density.precision

    def select(self, index: Int[Tensor, " paths"]) -> Recorded:
        density = self.density.select(index)
        if not isinstance(density, Density):
            raise TypeError(f"{type(self.density).__name__}.select returned no density")
        return Recorded(density, self.tape, self.rows[index])


@dataclass(frozen=True)
class RecordedEnergy(Energy):
    """An energy whose curves are recorded on a tape, a derivative as one more evaluation."""

    energy: Energy
    tape: Tape

    @property
    def manifold(self) -> Manifold:
        return self.energy.manifold

    def segments(
        self, t: Float[Tensor, " nodes"], nodes: Float[Tensor, "nodes paths dim"]
    ) -> Float[Tensor, "segments paths"]:
        gradient = nodes.requires_grad
        cost = self.evaluations(len(nodes), gradient=gradient)
        self.tape.record(torch.arange(nodes.shape[1]), nodes[1:-1], cost, 1 + gradient)
        return self.energy.segments(t, nodes)

    def evaluations(self, nodes: int, *, gradient: bool) -> int:
        return self.energy.evaluations(nodes, gradient=gradient)


@dataclass(frozen=True)
class Iterate:
    """A solver's curve after one step, for every pair.

    Args:
        intervals: of the level it is on.
        nodes: shape (n+1, pairs, dim), NaN for pairs that were not moved in this step; None
            where the solver has no curve (shooting).
        residual, length: as the solver reports them, shape (pairs,).
        active: which pairs were moved.
        score_evals, calls: cost so far, shape (pairs,).
        seconds: so far.
    """

    intervals: int
    nodes: Tensor | None
    residual: Tensor
    length: Tensor
    active: Tensor
    score_evals: Tensor
    calls: Tensor
    seconds: float


@dataclass(frozen=True)
class Recorder:
    """A callback that keeps every iterate of one start per pair.

    Args:
        tape: what the score was asked for.
        start, end: the fixed ends, shape (pairs, dim), in the coordinates of the tape.
        curves: whether the points asked for are the inner nodes of the curve.
    """

    tape: Tape
    start: Tensor
    end: Tensor
    curves: bool = True
    iterates: list[Iterate] = field(default_factory=list)

    def __call__(self, step: Step) -> None:
        tape, nodes = self.tape, None
        active = torch.full((len(self.start),), not self.curves)
        active[tape.rows] = True
        if self.curves:
            shape = (len(tape.points) + 2, *self.start.shape)
            nodes = tape.points.new_full(shape, torch.nan)
            nodes[1:-1, tape.rows] = tape.points
            nodes[0], nodes[-1] = self.start, self.end
        residual, length = (x.detach().clone() for x in (step.residual, step.length))
        costs = tape.score_evals.clone(), tape.calls.clone(), tape.seconds()
        self.iterates.append(Iterate(step.intervals, nodes, residual, length, active, *costs))
