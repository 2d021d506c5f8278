r"""Whether a geodesic can be the shortest one.

Every curve between two points is at least as long as their distance. So a geodesic that is longer
than a known curve, such as the initial path, is not the shortest, however small its residual. The
converse does not hold: a geodesic shorter than the initial path may still be a saddle point or the
longer way round.

The bound requires a metric that does not change along the curve. Where the density changes with t
(another prompt at the other end), no geodesic is rejected.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.density import evaluate
from diffusion_geodesics.length import Profile, measure
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Spline

SAME_LENGTH = 1e-4
"""Relative difference below which two lengths count as equal."""

INTERVALS = 32
"""Chebyshev intervals at which a known curve is measured."""

MAX_NFE = INTERVALS + 1 + 5
"""Most score evaluations of the check, per path."""


def is_longer(
    connection: Connection,
    known: Float[Tensor, "nodes paths dim"],
    length: Float[Tensor, " paths"],
    error: Float[Tensor, " paths"],
) -> tuple[Bool[Tensor, " paths"], int, int]:
    """Whether lengths are above those of known curves, beyond the error bars of both."""
    profile = measure(connection, Spline(known, connection.manifold), intervals=INTERVALS)
    bound = profile.length * (1 + SAME_LENGTH) + profile.length_error
    longer = length - error > bound
    if not bool(longer.any()):
        return longer, 1, profile.nfe
    changes, spent = changes_with_t(connection, profile)
    return longer & ~changes, 2, profile.nfe + spent


def changes_with_t(connection: Connection, profile: Profile) -> tuple[Bool[Tensor, "*batch"], int]:
    """Whether the score at the same points differs at other t, and the evaluations spent."""
    points, score = profile.points[::8], profile.score[::8]
    times = profile.t[::8].to(points).reshape(-1, *[1] * (points.ndim - 2))
    other = evaluate(connection.score, (times + 0.5) % 1, points)
    change = torch.linalg.vector_norm(other - score, dim=-1).amax(0)
    size = torch.linalg.vector_norm(score, dim=-1).amax(0)
    return change > 1e-4 * size, len(points) * points[0, ..., 0].numel()
