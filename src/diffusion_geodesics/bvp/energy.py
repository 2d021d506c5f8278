r"""Geodesics as minimisers of the discrete energy, for geometries without a simple acceleration.

Over the interior nodes of a curve with fixed ends, n intervals of length h,

.. math:: E(x_1, \dots, x_{n-1}) = \frac1h \sum_i \ell_i^2,

is minimised by L-BFGS in coordinates y in which the Euclidean energy is round: sine waves, wave k
scaled by the inverse root of its eigenvalue :math:`4 n \sin^2(\pi k / 2n)` under the second
difference, so that |y| is the norm of the change of γ' and the number of steps does not grow with
n. The stationarity of a curve is measured in the same norm,

.. math:: \rho = \frac{\|\nabla_y E\|\, \|\gamma'\|}{2 E},

which no scaling of the metric or of the points changes: a curve that is off by a fraction ρ of its
γ' is too long by a fraction of about ρ²/2.

All paths of a batch are evaluated together, each with its own search.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp.lbfgs import advance, begin
from diffusion_geodesics.bvp.solution import Result, Step
from diffusion_geodesics.metric import Energy
from diffusion_geodesics.path import Path, Spline

STATIONARY = 5e-2
"""ρ above which a curve at the step limit is no geodesic at all."""


@dataclass(frozen=True)
class EnergySolution:
    """A curve of least energy, for one pair of points or a batch of pairs.

    Args:
        path: the curve, endpoints exact.
        results: how each pair ended, flat over the batch.
        residual: ρ, shape (*batch,).
        energy: E at the solver's nodes, shape (*batch,).
        length: length of the spline through the nodes by its segments at four times as many
            points, shape (*batch,).
        distance_error: error bar of the length: its difference to that of the nodes' segments.
        t: parameters of ``arc_length``, shape (time,).
        arc_length: length from the start, shape (time, *batch).
        steps: the iterations.
        iterations, calls, score_evals: cost; a score evaluation is one point, and its derivative
            by autograd counts as one more; a call is one batch.
    """

    path: Path
    results: tuple[Result, ...]
    residual: Float[Tensor, "*batch"]
    energy: Float[Tensor, "*batch"]
    length: Float[Tensor, "*batch"]
    distance_error: Float[Tensor, "*batch"]
    t: Float[Tensor, " time"]
    arc_length: Float[Tensor, "time *batch"]
    steps: tuple[Step, ...]
    iterations: int
    calls: int
    score_evals: int

    @property
    def result(self) -> Result:
        """How the solver ended; the worst over a batch."""
        return next(r for r in reversed(Result) if r in self.results)

    @property
    def converged(self) -> bool:
        """Whether every pair met the tolerance."""
        return self.result is Result.converged

    @property
    def distance(self) -> Float[Tensor, "*batch"]:
        """The length: these geometries have no reference density."""
        return self.length


def minimise_energy(
    energy: Energy,
    path: Path,
    *,
    intervals: int = 32,
    tol: float = 1e-3,
    max_steps: int = 200,
    callback: Callable[[Step], None] | None = None,
) -> EnergySolution:
    """The curve of least energy between the ends of a path, near that path.

    Args:
        energy: the geometry.
        path: the initial path, for one pair of points (shape (time, dim)) or a batch of pairs
            (time, *batch, dim), all minimised in one batch.
        intervals: n ≥ 2.
        tol: stationarity ρ to reach. float64 for less than about 1e-3.
        max_steps: trials of the search, each one energy with its gradient.
        callback: called after every iteration; raise in it to cancel.

    Failing is a result with a reason, :attr:`EnergySolution.result`. A local minimum or a saddle
    that the initial path leads to is not recognised: try another path.

    Raises:
        ValueError: bad arguments, or autograd cannot follow the score.

    Cost: one energy with its gradient an iteration, all paths in two calls, until the last path
    is done; one energy more at the start, and one of 4n + 1 nodes at the end.
    """
    if not tol > 0 or max_steps < 1 or intervals < 2:
        raise ValueError(
            f"tol is {tol}, max_steps {max_steps} and intervals {intervals}; "
            "expected tol > 0, max_steps ≥ 1, intervals ≥ 2"
        )
    times = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
    initial = path(times)
    batch = initial.shape[1:-1]
    problem = _Problem.of(energy, initial.detach().reshape(intervals + 1, -1, initial.shape[-1]))
    best, steps = _minimise(problem, tol, max_steps, callback)
    curve = Spline(best.nodes.reshape(initial.shape), energy.manifold)
    t, arc = _arc_length(energy, curve, 4 * intervals)
    rough = best.segments.clamp_min(0).sqrt().sum(0).reshape(batch)
    finite = torch.isfinite(arc[-1]).flatten().tolist()
    final = energy.evaluations(4 * intervals + 1, gradient=False) * problem.paths
    first = energy.evaluations(intervals + 1, gradient=False) * problem.paths
    return EnergySolution(
        path=curve,
        results=tuple(
            _result(r, f, tol, len(steps) > max_steps)
            for r, f in zip(best.residual.tolist(), finite, strict=True)
        ),
        residual=best.residual.reshape(batch),
        energy=(best.segments.sum(0) * intervals).reshape(batch),
        length=arc[-1],
        distance_error=(arc[-1] - rough).abs(),
        t=t.to(arc),
        arc_length=arc,
        steps=steps,
        iterations=len(steps),
        calls=2 * len(steps) + 2,
        score_evals=steps[-1].score_evals + first + final,
    )


def _minimise(
    problem: _Problem, tol: float, max_steps: int, callback: Callable[[Step], None] | None
) -> tuple[_Trial, tuple[Step, ...]]:
    """The most stationary curve of every path, and the iterations."""
    y = problem.initial.new_zeros(problem.paths, problem.size)
    best = trial = problem.trial(y)
    search = begin(y, trial.value, trial.gradient)
    steps: list[Step] = []
    nodes = len(problem.initial)
    cost = problem.paths * problem.energy.evaluations(nodes, gradient=True)
    while True:
        length = best.segments.clamp_min(0).sqrt().sum(0)
        number = len(steps) + 1
        steps.append(Step(nodes - 1, number, best.residual, length, number * cost))
        if callback is not None:
            callback(steps[-1])
        done = (best.residual < tol) | search.stalled | ~torch.isfinite(search.f)
        if bool(done.all()) or number > max_steps:
            return best, tuple(steps)
        trial = problem.trial(search.trial)
        search = advance(search, trial.value, trial.gradient)
        best = best.or_better(trial, tol)


def _result(residual: float, finite: bool, tol: float, at_limit: bool) -> Result:
    if not finite or not math.isfinite(residual):
        return Result.non_finite
    if residual < tol:
        return Result.converged
    if residual > STATIONARY:
        return Result.not_converged
    return Result.max_steps if at_limit else Result.length_converged


def _arc_length(energy: Energy, path: Spline, intervals: int) -> tuple[Tensor, Tensor]:
    t = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
    points = path(t)
    with torch.no_grad():
        squares = energy.segments(t.to(points), points.reshape(len(t), -1, points.shape[-1]))
    steps = squares.clamp_min(0).sqrt()
    arc = torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])
    return t, arc.reshape(points.shape[:-1])


@dataclass(frozen=True)
class _Trial:
    """A batch of curves: nodes, ℓ², E over twice that of the initial path with its gradient, ρ."""

    nodes: Tensor
    segments: Tensor
    value: Tensor
    gradient: Tensor
    residual: Tensor

    def or_better(self, other: _Trial, tol: float) -> _Trial:
        """For every path the more stationary curve, if its energy is not above the initial one and
        this curve's ρ is not below ``tol`` yet."""
        better = (other.value <= 0.5 * (1 + 1e-6)) & (other.residual < self.residual)
        better &= ~(self.residual < tol)
        return _Trial(
            torch.where(better[:, None], other.nodes, self.nodes),
            torch.where(better, other.segments, self.segments),
            torch.where(better, other.value, self.value),
            torch.where(better[:, None], other.gradient, self.gradient),
            torch.where(better, other.residual, self.residual),
        )


@dataclass(frozen=True)
class _Problem:
    """Curves with fixed ends in coordinates y, shape (paths, size): zero is the initial path."""

    energy: Energy
    initial: Tensor
    basis: Tensor
    scale: Tensor
    unit: Tensor

    @staticmethod
    def of(energy: Energy, initial: Float[Tensor, "nodes paths dim"]) -> _Problem:
        n = len(initial) - 1
        k = torch.arange(1, n, dtype=torch.float64)
        waves = (2 / n) ** 0.5 * torch.sin(torch.pi * k[:, None] * k / n)
        basis = waves / (2 * n**0.5 * torch.sin(torch.pi * k / (2 * n)))
        with torch.no_grad():
            t = torch.linspace(0, 1, n + 1, dtype=torch.float64).to(initial)
            begun = n * energy.segments(t, initial).sum(0)
        return _Problem(
            energy,
            initial,
            basis.to(initial),
            _norm_of_velocity(initial),
            torch.where(begun > 0, 2 * begun, 1.0),
        )

    @property
    def paths(self) -> int:
        return self.initial.shape[1]

    @property
    def size(self) -> int:
        return self.initial[1:-1, 0].numel()

    def trial(self, y: Float[Tensor, "paths size"]) -> _Trial:
        """The curves at y."""
        with torch.enable_grad():
            y = y.detach().clone().requires_grad_()
            waves = y.reshape(self.paths, -1, self.initial.shape[-1]).transpose(0, 1)
            move = self.scale[:, None] * torch.tensordot(self.basis, waves, dims=1)
            inner = self.energy.manifold.project(self.initial[1:-1] + move)
            nodes = torch.cat([self.initial[:1], inner, self.initial[-1:]])
            t = torch.linspace(0, 1, len(nodes), dtype=torch.float64).to(nodes)
            segments = self.energy.segments(t, nodes)
            value = segments.sum(0) * (len(nodes) - 1) / self.unit
            (gradient,) = torch.autograd.grad(value.sum(), y)
        nodes, value = nodes.detach(), value.detach()
        value = torch.where(value >= 0, value, torch.nan)
        slope = torch.linalg.vector_norm(gradient, dim=-1) / self.scale.clamp_min(1e-30)
        tiny = torch.finfo(value.dtype).tiny
        residual = 0.5 * slope * _norm_of_velocity(nodes) / value.clamp_min(tiny)
        return _Trial(nodes, segments.detach(), value, gradient, residual)


def _norm_of_velocity(nodes: Float[Tensor, "nodes paths dim"]) -> Float[Tensor, " paths"]:
    """The root mean square of |γ'|."""
    steps = nodes[1:] - nodes[:-1]
    return len(steps) ** 0.5 * torch.linalg.vector_norm(steps, dim=(0, -1))
