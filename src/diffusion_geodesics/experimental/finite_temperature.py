r"""The finite-temperature string: the principal curve of a tempered density between two points.

Status: experimental. It is no geodesic and costs about a thousand times more than one (384015 score
evaluations by default). It needs a tube that is narrow against the length of the curve, and sharp
bends are smoothed over about six nodes.

Through every node :math:`x_i` of a curve goes the plane normal to it, with the conditional density
:math:`q_i \propto p^{1/T}` (:mod:`diffusion_geodesics.experimental.langevin`). The curve looked for
passes through their means:

.. math:: x_i = E_{q_i}[x] .

It is the centre of a tube, and so depends on how wide the tube is; the path of maximal density,
which is the limit T → 0, does not. For a Gaussian tube both are the same.

The means are sampled with the score only, and the curve takes a step towards them. As in
:mod:`diffusion_geodesics.bvp.string_method` the derivative along the curve is one-sided and
implicit: with :math:`T / c` the variance of the walkers, turning the plane by δ' moves the mean by
(b / c) δ'. The moved nodes x are smoothed, by the y that minimises
:math:`|y - x|^2 + \lambda |\Delta^3 y|^2`, and put at equal chords; the curve goes a quarter of the
way there, and in the second half of the iterations 1/4, 1/5, 1/6, ... of it, so that the noise of
the means averages out.

References:
    E, Ren, Vanden-Eijnden, Finite temperature string method for the study of rare events, J. Phys.
    Chem. B 2005.
    Whittaker, Proc. Edinburgh Math. Soc. 1923 (the smoothing).
    Moreau et al., arXiv 2602.22122 (curves at finite temperature in diffusion models).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp import (
    BoundaryProblem,
    BVPSolver,
    Control,
    Result,
    Solution,
    Start,
    Step,
)
from diffusion_geodesics.bvp.solution import Details
from diffusion_geodesics.bvp.string_method import REACH, equal_chords
from diffusion_geodesics.experimental.langevin import (
    Averages,
    Langevin,
    Planes,
    Walkers,
    gaussian_noise,
)
from diffusion_geodesics.length import measure
from diffusion_geodesics.metric import Conformal, Connection
from diffusion_geodesics.path import Spline

STABLE = 0.2
"""Step of the walkers, in units of the density's smallest variance."""

SMOOTHING = 1.0
"""λ: waves of less than six nodes are damped."""


@dataclass(frozen=True)
class TubeDetails(Details):
    """How far a curve is from the means, and how wide the tube is.

    Args:
        temperature: T.
        gap: distance of every inner node to the mean of its plane, from a final run in which the
            curve is fixed, shape (inner,).
        gap_error: standard error of these means (norm over coordinates), shape (inner,). It is
            part of ``gap``: on an exact principal curve both are alike.
        spread: root mean square distance of the walkers to their mean, the width of the tube, shape
            (inner,).
        sampling_error: root mean square of ``gap_error`` over the length of the curve, which is the
            residual of an exact principal curve.
    """

    temperature: float
    gap: Float[Tensor, " inner"]
    gap_error: Float[Tensor, " inner"]
    spread: Float[Tensor, " inner"]
    sampling_error: float

    def pair(self, index: int) -> TubeDetails:
        """The same: there is only one pair."""
        return self


@dataclass(frozen=True)
class FiniteTemperatureString(BVPSolver):
    """The principal curve of p^(1/T), for one pair of points in flat space.

    Only the score of the problem's connection is used, and its metric to measure the curve.
    ``max_steps`` counts the updates of the curve, all of which are done. ``residual`` is the root
    mean square of the ``gap`` over the length of the curve, and the result is ``converged`` if it
    is at most twice the sampling error, or below ``tol``. ``solution.details`` is a
    :class:`TubeDetails`. The solution is the same for the same seed.

    Args:
        temperature: T > 0; 1 for the density itself.
        intervals: n ≥ 4.
        walkers: W ≥ 2 for each inner node.
        sweep: steps of the walkers for each update, ≥ 1.
        check: steps of the walkers for the final means, ≥ 2.
        step: h > 0 of the walkers; by default 0.2 over the curvature of the density, which is
            estimated where the score does not know it.
        seed: of the walkers.

    Raises:
        ValueError: a setting is out of range.

    Cost:
        (n - 1) (W (max_steps * sweep + check) + 1) + 65 score evaluations, one batch per step of
        the walkers and 2 more: 384080 in 802 batches by default; 2 (n - 1) in one more batch where
        the curvature is estimated.
    """

    temperature: float = 1.0
    intervals: int = 16
    walkers: int = 32
    sweep: int = 10
    check: int = 200
    step: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.intervals - 3, self.walkers - 1, self.sweep, self.check - 1)
        positive = self.temperature > 0 and (self.step is None or self.step > 0)
        if min(counts) < 1 or not positive:
            raise ValueError(
                f"intervals is {self.intervals}, walkers {self.walkers}, sweep {self.sweep}, check "
                f"{self.check}, temperature {self.temperature} and step {self.step}; expected at "
                "least 4, 2, 1 and 2, and positive numbers"
            )

    def solve(self, problem: BoundaryProblem, control: Control) -> Solution:
        """Find the principal curve.

        Raises:
            ValueError: a batch of paths, several initial paths, a curved manifold, or a density
                that shows no curvature to take the walkers' step from.
        """
        run = self._begin(problem)
        steps: list[Step] = []
        each = (self.intervals - 1) * self.walkers
        for number in range(1, control.max_steps + 1):
            planes = Planes.of(run.nodes, run.increasing)
            walkers, averages = run.field.sample(run.walkers, planes, self.sweep, run.generator)
            nfe = run.nfe + number * each * self.sweep
            steps.append(_step(self.intervals, number, run.nodes, averages, nfe))
            gain = 1 / max(4, number - control.max_steps // 2)
            nodes = run.nodes + gain * (_target(planes, averages, self.temperature) - run.nodes)
            run = replace(run, nodes=nodes, increasing=averages.drift > 0, walkers=walkers)
            control.report(steps[-1])
        planes = Planes.of(run.nodes, run.increasing)
        first, second = self.check // 2, self.check - self.check // 2
        walkers, _ = run.field.sample(run.walkers, planes, first, run.generator)
        _, averages = run.field.sample(walkers, planes, second, run.generator)
        return self._solution(problem.connection, control, run, averages, tuple(steps))

    def _begin(self, problem: BoundaryProblem) -> _Run:
        nodes, manifold = problem.nodes(self.intervals), problem.connection.manifold
        if nodes.shape[1] != 1 or nodes.ndim != 3:
            raise ValueError(
                f"got {nodes.shape[1]} initial path(s) with points of shape "
                f"{tuple(nodes.shape[2:])}; expected one path of one pair of points"
            )
        if manifold.curvature:
            raise ValueError(f"got the manifold {manifold}; expected flat space")
        nodes = equal_chords(nodes)[:, 0]
        t = torch.linspace(0, 1, self.intervals + 1, dtype=torch.float64)
        plain = Conformal(problem.connection.score)
        connection, spent = plain.calibrated(t, nodes[:, None])
        velocity, times = 0.5 * self.intervals * (nodes[2:] - nodes[:-2]), t[1:-1].to(nodes)
        field = connection.field(times, nodes[1:-1], velocity)
        curvature = (field.shift / velocity.square().sum(-1).clamp_min(1e-30)).amax()
        step = self._walkers_step(float(curvature))
        generator = torch.Generator().manual_seed(self.seed)
        size = math.sqrt(self.temperature * step / STABLE)
        points = nodes[1:-1, None] + size * gaussian_noise(nodes, self.walkers, generator)
        return _Run(
            nodes=nodes,
            increasing=(field.score * velocity).sum(-1) > 0,
            walkers=Walkers(points, gaussian_noise(nodes, self.walkers, generator)),
            field=Langevin(connection.score, times[:, None], self.temperature, step),
            generator=generator,
            batches=int(spent > 0) + 1,
            nfe=spent + self.intervals - 1,
        )

    def _walkers_step(self, curvature: float) -> float:
        if self.step is not None:
            return self.step
        if not 0 < curvature < math.inf:
            raise ValueError(
                "the density shows no curvature across the path, so that the walkers' step is "
                "unknown; expected a path along a ridge. Give the step."
            )
        return STABLE / curvature

    def _solution(
        self,
        connection: Connection,
        control: Control,
        run: _Run,
        averages: Averages,
        steps: tuple[Step, ...],
    ) -> Solution:
        path, nodes = Spline(run.nodes), run.nodes
        profile = measure(connection, path)
        gap = torch.linalg.vector_norm(averages.offset, dim=-1)
        residual, sampling = (_rms(x) / _length(nodes) for x in (gap, averages.error))
        result = Result.max_steps
        if not math.isfinite(residual):
            result = Result.non_finite
        elif residual <= max(2 * sampling, control.tol):
            result = Result.converged
        each = (self.intervals - 1) * self.walkers
        walked = len(steps) * self.sweep + self.check
        return Solution(
            path=path,
            results=(result,),
            residual=nodes.new_tensor(residual),
            distance_error=profile.length_error,
            lengths=profile,
            starts=(Start(profile.length, nodes.new_tensor(residual), (result,)),),
            steps=steps,
            batches=run.batches + walked + 1,
            nfe=run.nfe + each * walked + profile.nfe,
            precision=connection.score.precision,
            details=TubeDetails(
                temperature=self.temperature,
                gap=gap,
                gap_error=averages.error,
                spread=averages.variance.sqrt() * math.sqrt(max(nodes.shape[-1] - 1, 1)),
                sampling_error=sampling,
            ),
        )


@dataclass(frozen=True)
class _Run:
    """The curve and the walkers between two updates; batches and nfe of the preparation."""

    nodes: Tensor
    increasing: Tensor
    walkers: Walkers
    field: Langevin
    generator: torch.Generator
    batches: int
    nfe: int


def _target(planes: Planes, averages: Averages, temperature: float) -> Tensor:
    """Where the nodes would go: a step towards the means, smoothed, at equal chords."""
    nodes = planes.nodes
    lag = averages.drift * averages.variance / temperature
    operator = torch.eye(len(lag)).to(nodes) + lag[:, None] * planes.matrix[:, 1:-1]
    step, info = torch.linalg.solve_ex(operator, averages.offset)
    step = step if not bool(info) else averages.offset
    longest = float(torch.linalg.vector_norm(step, dim=-1).max())
    step = step * min(1.0, REACH * _length(nodes) / max(longest, 1e-30))
    moved = torch.cat([nodes[:1], nodes[1:-1] + step, nodes[-1:]])
    return equal_chords(_smoothed(moved)[:, None])[:, 0]


def _smoothed(nodes: Float[Tensor, "nodes dim"]) -> Float[Tensor, "nodes dim"]:
    """Inner nodes moved to where third differences are small; the ends are kept."""
    third = torch.eye(len(nodes)).to(nodes).diff(n=3, dim=0)
    inner = third[:, 1:-1]
    operator = torch.eye(len(nodes) - 2).to(nodes) + SMOOTHING * inner.T @ inner
    change = torch.linalg.solve(operator, SMOOTHING * inner.T @ (third @ nodes))
    return torch.cat([nodes[:1], nodes[1:-1] - change, nodes[-1:]])


def _step(intervals: int, number: int, nodes: Tensor, averages: Averages, nfe: int) -> Step:
    length = _length(nodes)
    gap = _rms(torch.linalg.vector_norm(averages.offset, dim=-1)) / length
    return Step(intervals, number, nodes.new_tensor([gap]), nodes.new_tensor([length]), nfe)


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def _length(nodes: Float[Tensor, "nodes dim"]) -> float:
    return float(torch.linalg.vector_norm(nodes[1:] - nodes[:-1], dim=-1).sum())
