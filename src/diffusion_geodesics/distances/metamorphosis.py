r"""The metamorphosis distance: how far arrays are apart when things may move as well as change.

An array x (a picture, a sound, a volume) changes at the rate u partly because what it shows moves
with a velocity v, which is cheap where v is smooth, and partly because it changes in place:

.. math:: G_x(u, u) = \min_v \{ \lambda \|v\|_V^2 + |u + Dx \cdot v|^2 \}.

This is a Riemannian metric on arrays. With one segment the distance is the square root of

.. math:: F(m) = \frac{1}{|p|} \sum_p |A(p - v/2) - B(p + v/2)|^2 + \lambda |m|^2,
          \qquad v = \sum_k m_k c_k / \sqrt{(\gamma + |k|^2)^s},

minimised over the field v. It is symmetric, at most the Euclidean distance (root mean square), and
tends to it as :math:`\lambda \to \infty`. It is the geodesic distance up to the difference that
more segments make; with one segment the triangle inequality need not hold.

It is a distance of appearance modulo deformation: where only the shape of a thing tells two of them
apart, motion explains the difference away.

References:
    Trouvé, Younes, Metamorphoses through Lie group action, Found. Comput. Math. 2005.
    Berkels, Effland, Rumpf, Time discrete geodesic paths in the space of images, SIIMS 2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.distances.checkpoint import fingerprint, load_tensors, save_tensors
from diffusion_geodesics.distances.deformation import Grid
from diffusion_geodesics.distances.reference import square
from diffusion_geodesics.points import ArrayLike, as_points

MOMENTUM = 0.85
SHARPNESS = 4.0
"""How much steeper than its mean a structure tensor is taken to be, in the preconditioner."""

WORSE = 1.05
"""Growth of F over the best so far at which a pair goes back and halves its step."""


@dataclass(frozen=True)
class MetamorphosisDistance:
    """Distances of pairs, and what they consist of. All of shape (pairs,) but the field.

    Args:
        motion: λ‖v‖².
        appearance: mean square of what changes in place.
        residual: decrease of F that a step of the descent still promises, over F.
        coefficients: of the fields, shape (pairs, segments, axes, *modes).
    """

    motion: Float[Tensor, " pairs"]
    appearance: Float[Tensor, " pairs"]
    residual: Float[Tensor, " pairs"]
    coefficients: Float[Tensor, "pairs segments axes *modes"]

    @property
    def value(self) -> Float[Tensor, " pairs"]:
        """The distances; 0 has the gradient 0."""
        square = self.motion + self.appearance
        return torch.where(square > 0, square.clamp_min(1e-30).sqrt(), 0)


@dataclass(frozen=True)
class MetamorphosisMatrix:
    """Distances of all pairs of n arrays; symmetric, zero on the diagonal.

    Args:
        values: the distances.
        motion, appearance: squares, which add up to those of the distances.
        errors: difference to the distance with two segments, an estimate and no bound; NaN where
            it was not asked for.
    """

    values: Float[Tensor, "points points"]
    motion: Float[Tensor, "points points"]
    appearance: Float[Tensor, "points points"]
    errors: Float[Tensor, "points points"]


@dataclass(frozen=True)
class Metamorphosis:
    """The metric, and how its distances are found.

    Args:
        motion_weight: λ > 0, in units of square values per square of half the longest edge.
        smoothness: s ≥ 0. Finitely many modes allow any; in the limit of many it must exceed 1 plus
            half the number of axes.
        gamma: γ > 0: the price of moving everything alike.
        modes: cosine modes along each axis, ≥ 1.
        steps: of the descent, ≥ 1.
        segments: K, 1 or an even number; F is then the mean over segments.

    Raises:
        ValueError: a setting is out of range.
    """

    motion_weight: float = 0.1
    smoothness: float = 1.0
    gamma: float = 0.5
    modes: int = 10
    steps: int = 25
    segments: int = 1

    def __post_init__(self) -> None:
        positive = min(self.motion_weight, self.gamma) > 0 and self.smoothness >= 0
        finite = math.isfinite(self.motion_weight + self.gamma + self.smoothness)
        whole = min(self.modes, self.steps, self.segments) >= 1
        odd = self.segments > 1 and self.segments % 2
        if not (positive and finite and whole) or odd:
            raise ValueError(
                f"got {self}; expected motion_weight and gamma > 0, smoothness ≥ 0, modes and "
                "steps ≥ 1, and segments 1 or even"
            )

    def between(
        self,
        first: Float[Tensor, "pairs channels *grid"],
        second: Float[Tensor, "pairs channels *grid"],
        coefficients: Tensor | None = None,
    ) -> MetamorphosisDistance:
        """The distances of pairs of arrays, all in one batch.

        Gradients with respect to the arrays are those at the fields found, which at a minimum is
        the derivative of the distance.

        Raises:
            ValueError: shapes differ, or there are no or more than three axes.

        Cost:
            ``steps`` evaluations of F with their gradients; no network.
        """
        if first.shape != second.shape or not 3 <= first.ndim <= 5:
            raise ValueError(
                f"got arrays of shapes {tuple(first.shape)} and {tuple(second.shape)}; expected "
                "(pairs, channels, *grid) twice the same, with one to three axes in the grid"
            )
        grid = self.grid_of(first)
        a, b = first.detach(), second.detach()
        m = self._start(grid, len(a)) if coefficients is None else coefficients.clone()
        with torch.enable_grad():
            m, residual = self._descend(grid, a, b, m)
        look, move = self._energy(grid, first, second, m)
        return MetamorphosisDistance(move, look, residual, m)

    def with_error(
        self,
        first: Float[Tensor, "pairs channels *grid"],
        second: Float[Tensor, "pairs channels *grid"],
    ) -> tuple[MetamorphosisDistance, Float[Tensor, " pairs"]]:
        """The distances, and their differences to those with two segments, an estimate of the
        error and no bound; at five times the cost of :meth:`between`."""
        found = self.between(first, second)
        finer = replace(self, segments=2, steps=2 * self.steps).between(first, second)
        return found, (found.value - finer.value).abs()

    def matrix(
        self,
        arrays: ArrayLike,
        *,
        channels: bool = True,
        log_density: ArrayLike | None = None,
        alpha: float = 0.0,
        batch: int = 512,
        errors: bool = False,
        resume: Path | None = None,
        callback: Callable[[int, int], None] | None = None,
    ) -> MetamorphosisMatrix:
        """The distances of all pairs, at n (n - 1) / 2 times the cost of :meth:`between`.

        Args:
            arrays: shape (points, channels, *grid), or without ``channels`` (points, *grid).
            log_density: of the arrays in nats; distances are then multiplied by p^-α at the
                geometric mean of both ends.
            errors: compare with two segments, at four times the cost.
            resume: a file to which every finished batch is written; pairs in it are not computed
                again.
            callback: called with the pairs done and their number.

        Raises:
            ValueError: fewer than two arrays, other shapes, settings out of range, or a file to
                resume from that belongs to another computation.
        """
        x = as_points(arrays, "arrays")
        x = x if channels else x[:, None]
        none = torch.zeros(len(x)) if log_density is None else log_density
        level = as_points(none, "log_density")
        if len(x) < 2 or batch < 1 or level.shape != x.shape[:1] or not 0 <= alpha < math.inf:
            raise ValueError(
                f"got {len(x)} arrays, batch {batch}, alpha {alpha} and log densities of shape "
                f"{tuple(level.shape)}; expected at least 2, 1, 0, and one for each array"
            )
        pairs = torch.combinations(torch.arange(len(x)))
        mark = fingerprint(x, self, batch, errors)
        known = None if resume is None else load_tensors(resume, mark)
        found = [x.new_zeros(3, 0) if known is None else known["pairs"].to(x)]
        for start in range(found[0].shape[1], len(pairs), batch):
            now = pairs[start : start + batch]
            a, b = x[now[:, 0]], x[now[:, 1]]
            if errors:
                one, error = self.with_error(a, b)
            else:
                one = self.between(a, b)
                error = torch.full_like(one.motion, torch.nan)
            found.append(torch.stack([one.motion, one.appearance, error]))
            if resume is not None:
                save_tensors(resume, {"pairs": torch.cat(found, 1)}, mark)
            if callback is not None:
                callback(min(start + batch, len(pairs)), len(pairs))
        motion, look, error = torch.cat(found, 1)
        factor = torch.exp(-alpha * level.to(x)[pairs].mean(1))
        values = ((motion + look) * factor.square(), motion, look, error * factor)
        squares, motion, look, error = (square(v, pairs, len(x)) for v in values)
        return MetamorphosisMatrix(squares.sqrt(), motion, look, error)

    def grid_of(self, arrays: Float[Tensor, "arrays channels *grid"]) -> Grid:
        """The grid of arrays, with the modes of this metric."""
        size = tuple(arrays.shape[2:])
        return Grid(size, self.modes, self.smoothness, self.gamma, arrays.detach())

    def _start(self, grid: Grid, pairs: int) -> Tensor:
        return torch.zeros(pairs, self.segments, len(grid.size), *grid.counts).to(grid.like)

    def _maps(self, grid: Grid, m: Tensor) -> list[Tensor]:
        """Where the points of the half-way grid are at the ends of all segments, in order."""
        fields = [grid.fields(m[:, k]) / self.segments for k in range(self.segments)]
        points = grid.points.expand(len(m), *grid.size, len(grid.size))
        if self.segments == 1:
            return [points - fields[0] / 2, points + fields[0] / 2]

        def along(start: Tensor, step: Tensor, first: bool) -> Tensor:
            if first:
                return step
            return torch.movedim(grid.sample(torch.movedim(step, -1, 1), start), 1, -1)

        half = self.segments // 2
        ahead, behind = [points], [points]
        for k in range(half):
            ahead.append(ahead[-1] + along(ahead[-1], fields[half + k], k == 0))
            behind.append(behind[-1] - along(behind[-1], fields[half - 1 - k], k == 0))
        return [*reversed(behind), *ahead[1:]]

    def _energy(self, grid: Grid, a: Tensor, b: Tensor, m: Tensor) -> tuple[Tensor, Tensor]:
        """The parts of F: what changes in place, and what moves."""
        maps = self._maps(grid, m)
        gap = (grid.sample(a, maps[0]) - grid.sample(b, maps[-1])).square().sum(1)
        if self.segments > 1:
            gap = gap / torch.stack([1 / grid.stretch(x) for x in maps]).mean(0)
        move = self.motion_weight * m.square().flatten(2).sum(2).mean(1)
        return gap.flatten(1).mean(1), move

    def _descend(
        self, grid: Grid, a: Tensor, b: Tensor, m: Tensor
    ) -> tuple[Tensor, Float[Tensor, " pairs"]]:
        """Descent with momentum, preconditioned by the mean structure tensor, pair by pair."""
        each = [1, len(grid.size), *[1] * len(grid.size)]
        steep = [
            0.5 * torch.stack([x.square().sum(1).flatten(1).mean(1) for x in both]).sum(0)
            for both in zip(grid.slopes(a), grid.slopes(b), strict=True)
        ]
        curvature = torch.stack(steep, 1).reshape(len(a), *each) / grid.eigenvalues
        step = self.segments / (2 * SHARPNESS * curvature + 2 * self.motion_weight)
        velocity, best, at = torch.zeros_like(m), m.new_full((len(m),), torch.inf), m.clone()
        residual = torch.full_like(best, torch.inf)
        for _ in range(self.steps + 1):
            m = m.requires_grad_()
            value = torch.stack(self._energy(grid, a, b, m)).sum(0)
            (slope,) = torch.autograd.grad(value.sum(), m)
            m, value = m.detach(), value.detach()
            better, worse = value < best, ~(value <= WORSE * best)
            promised = (slope.square() * step).flatten(1).sum(1) / value.clamp_min(1e-30)
            best, residual = (
                torch.where(better, new, old) for new, old in ((value, best), (promised, residual))
            )
            at[better] = m[better]
            m[worse], velocity[worse], slope[worse] = at[worse], 0.0, 0.0
            step[worse] *= 0.5
            velocity = MOMENTUM * velocity - step * slope
            m = m + velocity
        return at, residual
