r"""The finite-temperature string: the principal curve of a tempered density between two points.

Through every node :math:`x_i` of a curve goes the plane across it, and in it lies the conditional
density :math:`q_i \propto p^{1/T}` (:mod:`diffusion_geodesics.bvp.walkers`). The curve looked for
goes through the means of these:

.. math:: x_i = E_{q_i}[x] .

It is the centre of a tube and not its ridge, so that it sees how wide the tube is, which the path
of maximal density, the limit T → 0, does not. Where a density is that of a Gaussian tube both are
the same.

The means are sampled with the score only, and the curve takes a step towards them. As in
:mod:`diffusion_geodesics.bvp.string` the derivative along the curve is uphill and implicit: with
:math:`T / c` the variance of the walkers, turning the plane by δ' moves the mean by (b / c) δ'. The
moved nodes x are smoothed, by the y of least :math:`|y - x|^2 + \lambda |\Delta^3 y|^2`, and put at
equal chords; the curve goes a quarter of the way there, and in the second half of the iterations
1/4, 1/5, 1/6, ... of it, so that the noise of the means averages out.

References
----------
E, Ren, Vanden-Eijnden, Finite temperature string method for the study of rare events, J. Phys.
Chem. B 2005. Whittaker, Proc. Edinburgh Math. Soc. 1923 (the smoothing). Moreau et al., arXiv
2602.22122 (curves at finite temperature in diffusion models).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.bvp.solution import Step
from diffusion_geodesics.bvp.string import REACH, equal_chords
from diffusion_geodesics.bvp.walkers import Crowd, Langevin, Planes, Seen, gaussian_noise
from diffusion_geodesics.density import Score, as_score
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.path import Path, Spline

STABLE = 0.2
"""Step of the walkers, in units of the density's smallest variance."""


SMOOTHING = 1.0
"""λ: waves of less than six nodes are damped."""

SMALL = 1e-3
"""Residual below which a curve is good, however small its sampling error."""


@dataclass(frozen=True)
class TemperedString:
    """A principal curve, and how far it is from being one.

    Args:
        path: the curve, its ends untouched.
        temperature: T.
        gap: distance of every inner node to the mean of its plane's walkers, from a final run in
            which the curve stands still, shape (inner,).
        gap_error: standard error of these means (norm over coordinates), from the scatter of the
            walkers, which are independent in that run, shape (inner,). It is part of ``gap``: on
            an exact principal curve both are alike.
        spread: root mean square distance of the walkers to their mean, shape (inner,): the
            width of the tube.
        steps: the iterations; residuals are those of the noisy means, lengths are Euclidean.
        iterations, calls, score_evals: cost; a score evaluation is one point, a call one batch.
    """

    path: Spline
    temperature: float
    gap: Float[Tensor, " inner"]
    gap_error: Float[Tensor, " inner"]
    spread: Float[Tensor, " inner"]
    steps: tuple[Step, ...]
    iterations: int
    calls: int
    score_evals: int

    @property
    def residual(self) -> float:
        """Root mean square of ``gap``, over the length of the curve."""
        return _rms(self.gap) / _length(self.path.nodes)

    @property
    def sampling_error(self) -> float:
        """Root mean square of ``gap_error``, over the length of the curve: what the residual of an
        exact principal curve would be."""
        return _rms(self.gap_error) / _length(self.path.nodes)

    @property
    def converged(self) -> bool:
        """Whether the residual is at most twice the sampling error, or below 1e-3."""
        return self.residual <= max(2 * self.sampling_error, SMALL)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to know before the curve is believed; empty where all is well."""
        if not math.isfinite(self.residual):
            return ("the score is not finite at some walker: use a smaller temperature or step",)
        if not self.converged:
            return (
                f"the nodes are {self.residual:.2g} curve lengths from the means, which is more "
                f"than twice the sampling error of {self.sampling_error:.2g}: use more "
                "iterations, more intervals, or a smaller step",
            )
        return ()


def finite_temperature_string(
    score: Score | Callable[[Tensor], Tensor],
    path: Path,
    temperature: float = 1.0,
    *,
    intervals: int = 16,
    walkers: int = 32,
    iterations: int = 60,
    sweep: int = 10,
    check: int = 200,
    step: float | None = None,
    seed: int = 0,
    callback: Callable[[Step], None] | None = None,
) -> TemperedString:
    """The principal curve of p^(1/T) between the ends of a path.

    Args:
        score: a score, or a plain function x -> s(x). For one that changes along the curve node i
            takes it at t = i / intervals.
        path: the initial path, of one pair of points in flat space. Its ends stay where they are.
        temperature: T > 0; 1 for the density itself.
        intervals: n ≥ 4.
        walkers: W ≥ 2 for each inner node.
        iterations: updates of the curve.
        sweep: steps of the walkers for each update.
        check: steps of the walkers for the final means.
        step: h > 0 of the walkers; by default 0.2 over the curvature of the density, which is
            measured where the score does not know it.
        seed: of the walkers.
        callback: called after every iteration; raise in it to cancel.

    Returns:
        A :class:`TemperedString`, the same for the same seed.

    Raises:
        ValueError: an argument out of its range, a batch of paths, a path on a sphere, or no
            curvature to take the step from.

    Cost: (n - 1) (W (iterations * sweep + check) + 1) score evaluations in one call a step: 384015
    in 801 calls by default, and 2 (n - 1) in one more where the curvature is measured.
    """
    counts = (intervals - 3, walkers - 1, iterations, sweep, check - 1)
    if min(counts) < 1 or not (temperature > 0 and (step is None or step > 0)):
        raise ValueError(
            f"intervals is {intervals}, walkers {walkers}, iterations {iterations}, sweep {sweep}, "
            f"check {check}, temperature {temperature} and step {step}; expected at least 4, 2, "
            "1, 1 and 2, and positive numbers"
        )
    t = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
    nodes = path(t)
    if nodes.ndim != 2:
        raise ValueError(f"path has points of shape {tuple(nodes.shape[1:])}; expected one path")
    manifold = getattr(path, "manifold", None)
    if manifold is not None and manifold.curvature:
        raise ValueError(f"path lies on {manifold}; expected one in flat space")
    nodes = equal_chords(nodes[:, None])[:, 0]
    connection, spent = Conformal(as_score(score)).calibrated(t, nodes[:, None])
    velocity, times = 0.5 * intervals * (nodes[2:] - nodes[:-2]), t[1:-1].to(nodes)
    begun = connection.field(times, nodes[1:-1], velocity)
    climbs = (begun.score * velocity).sum(-1) > 0
    if step is None:
        curvature = (begun.shift / velocity.square().sum(-1).clamp_min(1e-30)).amax()
        step = STABLE / float(curvature) if float(curvature) > 0 else math.inf
    if not math.isfinite(step):
        raise ValueError(
            "the density shows no curvature across the path, so that the walkers' step is unknown; "
            "expected a path along a ridge. Give the step."
        )
    field = Langevin(connection.score, times[:, None], temperature, step)
    generator = torch.Generator().manual_seed(seed)
    start = math.sqrt(temperature * step / STABLE) * gaussian_noise(nodes, walkers, generator)
    crowd = Crowd(nodes[1:-1, None] + start, gaussian_noise(nodes, walkers, generator))
    told: list[Step] = []
    inner, each = intervals - 1, (intervals - 1) * walkers
    cost = spent + inner
    for number in range(1, iterations + 1):
        planes = Planes.of(nodes, climbs)
        crowd, seen = field.swept(crowd, planes, sweep, generator)
        climbs = seen.drift > 0
        gain = 1 / max(4, number - iterations // 2)
        cost += each * sweep
        told.append(_told(number, nodes, seen, cost))
        nodes = nodes + gain * (_target(planes, seen, temperature) - nodes)
        if callback is not None:
            callback(told[-1])
    planes = Planes.of(nodes, climbs)
    crowd, _ = field.swept(crowd, planes, check // 2, generator)
    _, seen = field.swept(crowd, planes, check - check // 2, generator)
    return TemperedString(
        path=Spline(nodes),
        temperature=temperature,
        gap=torch.linalg.vector_norm(seen.offset, dim=-1),
        gap_error=seen.error,
        spread=seen.variance.sqrt() * math.sqrt(max(nodes.shape[-1] - 1, 1)),
        steps=tuple(told),
        iterations=iterations,
        calls=int(spent > 0) + 1 + iterations * sweep + check,
        score_evals=cost + each * check,
    )


def _target(planes: Planes, seen: Seen, temperature: float) -> Tensor:
    """Where the nodes would go: a step towards the means, smoothed, at equal chords."""
    nodes = planes.nodes
    lag = seen.drift * seen.variance / temperature
    operator = torch.eye(len(lag)).to(nodes) + lag[:, None] * planes.matrix[:, 1:-1]
    step, info = torch.linalg.solve_ex(operator, seen.offset)
    step = step if not bool(info) else seen.offset
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


def _told(number: int, nodes: Tensor, seen: Seen, cost: int) -> Step:
    length = _length(nodes)
    gap = _rms(torch.linalg.vector_norm(seen.offset, dim=-1)) / length
    return Step(len(nodes) - 1, number, nodes.new_tensor([gap]), nodes.new_tensor([length]), cost)


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def _length(nodes: Float[Tensor, "nodes dim"]) -> float:
    return float(torch.linalg.vector_norm(nodes[1:] - nodes[:-1], dim=-1).sum())
