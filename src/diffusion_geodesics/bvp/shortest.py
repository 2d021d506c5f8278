r"""Whether a geodesic can be the shortest one.

Every curve between two points is at least as long as the distance between them. So a geodesic that
is longer than a curve we know, such as the initial path, is not the shortest, however small its
residual. The converse says nothing: a geodesic that is shorter than the initial path may still be
a longer way round, and a saddle point is no shortest path either.

It takes a metric that stays as it is. Where the density changes with t (another prompt at the other
end) there is no such bound, and nothing is said.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.length import Profile, measure
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Spline

SAME_LENGTH = 1e-4
"""Relative difference below which two lengths are taken to be equal."""

INTERVALS = 32
"""Chebyshev intervals at which a known curve is measured."""

MOST = INTERVALS + 1 + 5
"""Most score evaluations a path."""


def is_longer(
    connection: Connection,
    known: Float[Tensor, "nodes paths dim"],
    length: Float[Tensor, " paths"],
    error: Float[Tensor, " paths"],
) -> tuple[Bool[Tensor, " paths"], int, int]:
    """Whether lengths, with their error bars, are above those of known curves with theirs.

    Args:
        connection: the geometry of every path.
        known: equidistant nodes of curves between the same points.
        length, error: of the curves to judge; lengths relative to the start.

    Returns:
        Which are longer, and the calls and score evaluations spent: 33 a path, in one call; and 5
        more in another where one is, to see whether the density changes with t.
    """
    profile = measure(connection, Spline(known, connection.manifold), intervals=INTERVALS)
    bound = profile.length * (1 + SAME_LENGTH) + profile.length_error
    longer = length - error > bound
    if not bool(longer.any()):
        return longer, 1, profile.score_evals
    moving, spent = _moving(connection, profile)
    return longer & ~moving, 2, profile.score_evals + spent


def _moving(connection: Connection, profile: Profile) -> tuple[Bool[Tensor, " paths"], int]:
    """Whether the score at the same points is another one at other t, and the evaluations."""
    points, score = profile.points[::8], profile.score[::8]
    times = profile.t[::8].to(points).reshape(-1, *[1] * (points.ndim - 2))
    other = connection.score((times + 0.5) % 1, points)
    change = torch.linalg.vector_norm(other - score, dim=-1).amax(0)
    size = torch.linalg.vector_norm(score, dim=-1).amax(0)
    return change > 1e-4 * size, len(points) * points[0, ..., 0].numel()
