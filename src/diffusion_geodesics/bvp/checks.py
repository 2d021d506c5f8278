r"""Two checks of a geodesic: whether it can be the shortest, and whether its score is a gradient.

A geodesic that is longer than a known curve between its ends, such as its initial path, is not the
shortest, however small its residual. (One that is shorter may still be a saddle point.)

The score of a density is a gradient, so its circulation

.. math:: \oint s \cdot dx = \int_\gamma s \cdot dx - \int_{\mathrm{chord}} s \cdot dx

is zero. Where it is not, log densities and lengths depend on the path along which they are
integrated: lengths by a factor of about :math:`e^{\alpha \oint s \cdot dx}`.

Both need a score that does not change along the curve; where it does (another prompt at the other
end), nothing is concluded.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Tensor

from diffusion_geodesics.density import evaluate
from diffusion_geodesics.length import Profile, measure
from diffusion_geodesics.likelihood.line import line_density
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Path, Spline
from diffusion_geodesics.shapes import Nodes, PathValues, Values

SAME_LENGTH = 1e-4
"""Relative difference below which two lengths count as equal."""

INTERVALS = 32
"""Chebyshev intervals at which a known curve is measured."""

MAX_NFE = INTERVALS + 1 + 5
"""Most score evaluations of :func:`is_longer`, per path."""

CHORD_INTERVALS = 16
"""Chebyshev intervals of the first look at the chord; four times as many follow if it finds
something."""

LARGE = 0.05
"""α times the circulation above which a score counts as no gradient: lengths are then ambiguous by
more than 5%."""


def is_longer(
    connection: Connection, known: Nodes, length: PathValues, error: PathValues
) -> tuple[Bool[Tensor, " paths"], int, int]:
    """Whether lengths are above those of known curves, beyond the error bars of both; and the
    batches and score evaluations spent."""
    profile = measure(connection, Spline(known, connection.manifold), intervals=INTERVALS)
    bound = profile.length * (1 + SAME_LENGTH) + profile.length_error
    longer = length - error > bound
    if not bool(longer.any()):
        return longer, 1, profile.nfe
    changes, spent = _changes_with_t(connection, profile)
    return longer & ~changes, 2, profile.nfe + spent


def _changes_with_t(connection: Connection, profile: Profile) -> tuple[Bool[Tensor, "*batch"], int]:
    """Whether the score at the same points differs at other t, and the evaluations spent."""
    points, score = profile.points[::8], profile.score[::8]
    times = profile.t[::8].to(points).reshape(-1, *[1] * (points.ndim - 2))
    other = evaluate(connection.score, (times + 0.5) % 1, points)
    change = torch.linalg.vector_norm(other - score, dim=-1).amax(0)
    size = torch.linalg.vector_norm(score, dim=-1).amax(0)
    return change > 1e-4 * size, len(points) * points[0, ..., 0].numel()


@dataclass(frozen=True)
class Circulation:
    """The circulation of a score around a path and the chord of its ends."""

    value: Values  # in nats, up to ``error``; 0 for densities that change along the path
    error: Values  # of the quadrature, in nats
    alpha: float  # strength of the metric
    nfe: int
    batches: int

    @property
    def large(self) -> Bool[Tensor, "*batch"]:
        """Where it makes lengths ambiguous by more than 5%, beyond its error."""
        return self.alpha * (self.value.abs() - 5 * self.error) > LARGE

    def pair(self, index: int) -> Circulation:
        """The circulation of one pair of a batch."""
        value, error = self.value.flatten()[index], self.error.flatten()[index]
        return Circulation(value, error, self.alpha, self.nfe, self.batches)


def circulation(connection: Connection, profile: Profile, chord: Path, alpha: float) -> Circulation:
    """The circulation of a score around a path and its chord: 17 score evaluations per path, in one
    batch, and where it seems large 70 more, in two."""

    def around(intervals: int) -> Circulation:
        along = line_density(connection.score, chord, intervals=intervals)
        value = profile.log_density[-1] - along.difference
        return Circulation(value, profile.log_density_error + along.error, alpha, along.nfe, 1)

    first = around(CHORD_INTERVALS)
    if not bool(first.large.any()):
        return first
    finer = around(4 * CHORD_INTERVALS)
    changes, spent = _changes_with_t(connection, profile)
    value = torch.where(changes.reshape(finer.value.shape), 0, finer.value)
    return Circulation(value, finer.error, alpha, first.nfe + finer.nfe + spent, 3)
