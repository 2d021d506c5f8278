r"""Geodesics as minimisers of the discrete energy, for geometries given by an :class:`Energy`.

Over the interior nodes of a curve with fixed ends and n intervals of length h, L-BFGS minimises

.. math:: E(x_1, \dots, x_{n-1}) = \frac1h \sum_i \ell_i^2

in the coordinates y of :mod:`diffusion_geodesics.bvp.sine_coordinates`. The residual of a curve is
its stationarity

.. math:: \rho = \frac{\|\nabla_y E\|\, \|\gamma'\|}{2 E},

which does not depend on the scale of the metric or of the points: a curve whose γ' is off by a
fraction ρ is too long by a fraction of about ρ²/2. All paths of a batch are evaluated together,
each with its own search.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from diffusion_geodesics.bvp.lbfgs import advance, begin
from diffusion_geodesics.bvp.result import Result, Start, Step
from diffusion_geodesics.bvp.sine_coordinates import SineCoordinates, Trial
from diffusion_geodesics.bvp.solution import Solution
from diffusion_geodesics.bvp.solver import BoundaryProblem, BVPSolver, Control
from diffusion_geodesics.length import LengthProfile
from diffusion_geodesics.metric import Energy
from diffusion_geodesics.path import Spline

STATIONARY = 5e-2
"""ρ above which a curve at the step limit is not a geodesic."""


@dataclass(frozen=True)
class EnergyMinimiser(BVPSolver):
    """The curve of least energy near an initial path, for problems with an :class:`Energy`.

    A local minimum or a saddle point is not recognised: try further initial paths, which are
    minimised one after the other. ``tol`` below about 1e-3 needs float64.

    Raises:
        ValueError: ``intervals`` is below 2.

    Cost:
        For each initial path one energy with its gradient per iteration, in two batches, until the
        last pair is finished, and one energy more at the start; at the end one energy of 4n + 1
        nodes per pair. ``nfe`` counts a derivative by autograd as one more evaluation.
    """

    intervals: int = 32  # n

    def __post_init__(self) -> None:
        if self.intervals < 2:
            raise ValueError(f"intervals is {self.intervals}; expected at least 2")

    @property
    def default_max_steps(self) -> int:
        return 200

    def solve(self, problem: BoundaryProblem, control: Control) -> Solution:
        energy = problem.energy
        initial = problem.nodes(self.intervals).detach()
        batch, dim = initial.shape[2:-1], initial.shape[-1]
        nodes = initial.reshape(*initial.shape[:2], -1, dim)
        steps: tuple[Step, ...] = ()
        minima: list[_Minimum] = []
        nfe = 0
        for start in range(initial.shape[1]):
            minimum, steps, nfe = _minimise(energy, nodes[:, start], control, steps, nfe)
            minima.append(minimum)
        pick = _shortest(minima)
        best = minima[0].trial
        for start, minimum in enumerate(minima[1:], 1):
            best = best.replaced((pick == start).to(best.value.device), minimum.trial)
        curve = Spline(best.nodes.reshape(len(nodes), *batch, dim), energy.manifold)
        lengths = _lengths(energy, curve, 4 * self.intervals, best.length.reshape(batch))
        finite = torch.isfinite(lengths.length).flatten().tolist()
        chosen = [minima[start].results[i] for i, start in enumerate(pick.tolist())]
        ended = zip(chosen, finite, strict=True)
        return Solution(
            path=curve,
            results=tuple(r if ok else Result.non_finite for r, ok in ended),
            residual=best.residual.reshape(batch),
            distance_error=lengths.length_error,
            lengths=lengths,
            starts=tuple(minimum.start(batch) for minimum in minima),
            steps=steps,
            batches=2 * len(steps) + len(minima) + 1,
            nfe=nfe + lengths.nfe,
        )


@dataclass(frozen=True)
class _Minimum:
    """The most stationary curve from one initial path, and how each pair ended."""

    trial: Trial
    results: tuple[Result, ...]

    def start(self, batch: Sequence[int]) -> Start:
        length, residual = (x.reshape(batch) for x in (self.trial.length, self.trial.residual))
        return Start(length, residual, self.results)


def _minimise(
    energy: Energy, initial: Tensor, control: Control, before: tuple[Step, ...], nfe: int
) -> tuple[_Minimum, tuple[Step, ...], int]:
    """Minimise from one initial path; the iterations and score evaluations are added to those
    before."""
    coordinates = SineCoordinates.about(energy, initial)
    y = initial.new_zeros(coordinates.paths, coordinates.size)
    best = trial = coordinates.trial(y)
    search = begin(y, trial.value, trial.gradient)
    steps, number, nodes = list(before), 0, len(initial)
    cost = coordinates.paths * energy.evaluations(nodes, gradient=True)
    while True:
        number += 1
        spent = nfe + number * cost
        steps.append(Step(nodes - 1, len(steps) + 1, best.residual, best.length, spent))
        control.report(steps[-1])
        done = (best.residual < control.tol) | search.stalled | ~torch.isfinite(search.f)
        if bool(done.all()) or number > control.max_steps:
            break
        trial = coordinates.trial(search.trial)
        search = advance(search, trial.value, trial.gradient)
        best = best.or_better(trial, control.tol)
    at_limit = number > control.max_steps
    results = tuple(_result(r, control.tol, at_limit) for r in best.residual.tolist())
    nfe += number * cost + coordinates.paths * energy.evaluations(nodes, gradient=False)
    return _Minimum(best, results), tuple(steps), nfe


def _result(residual: float, tol: float, at_limit: bool) -> Result:
    if not math.isfinite(residual):
        return Result.non_finite
    if residual < tol:
        return Result.converged
    if residual > STATIONARY:
        return Result.not_converged
    return Result.max_steps if at_limit else Result.length_converged


def _shortest(minima: list[_Minimum]) -> Tensor:
    """For each pair the start with the shortest geodesic, or the smallest residual if no start led
    to one."""
    good = torch.tensor([[r.ok for r in m.results] for m in minima])
    length = torch.stack([m.trial.length for m in minima]).cpu()
    residual = torch.stack([m.trial.residual for m in minima]).cpu().nan_to_num(nan=torch.inf)
    by_length = torch.where(good, length, torch.inf).argmin(0)
    return torch.where(good.any(0), by_length, residual.argmin(0))


def _lengths(energy: Energy, path: Spline, intervals: int, rough: Tensor) -> LengthProfile:
    """Lengths by segments between equidistant points of the spline; their error is the difference
    to the rough length by the nodes."""
    t = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
    points = path(t)
    flat = points.reshape(len(t), -1, points.shape[-1])
    with torch.no_grad():
        squares = energy.segments(t.to(points), flat)
    steps = squares.clamp_min(0).sqrt()
    arc = torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)]).reshape(points.shape[:-1])
    return LengthProfile(
        t=t.to(arc),
        points=points,
        arc_length=arc,
        length=arc[-1],
        distance=arc[-1],
        length_error=(arc[-1] - rough).abs(),
        nfe=energy.evaluations(intervals + 1, gradient=False) * flat.shape[1],
    )
