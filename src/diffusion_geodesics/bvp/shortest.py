r"""Whether a geodesic can be the shortest one.

Every curve between two points is at least as long as the distance between them. So a geodesic that
is longer than a curve we know, such as the initial path, is not the shortest, however small its
residual. The converse says nothing: a geodesic that is shorter than the initial path may still be
a longer way round, and a saddle point is no shortest path either.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from diffusion_geodesics.length import measure
from diffusion_geodesics.metric import Connection
from diffusion_geodesics.path import Spline

SAME_LENGTH = 1e-4
"""Relative difference below which two lengths are taken to be equal."""


def is_longer(
    connection: Connection,
    known: Float[Tensor, "nodes paths dim"],
    length: Float[Tensor, " paths"],
    error: Float[Tensor, " paths"],
) -> tuple[Bool[Tensor, " paths"], int]:
    """Whether lengths, with their error bars, are above those of known curves with theirs.

    Args:
        connection: the geometry of every path.
        known: equidistant nodes of curves between the same points.
        length, error: of the curves to judge; lengths relative to the start.

    Returns:
        Which are longer, and the score evaluations spent: 65 a path, in one call.
    """
    profile = measure(connection, Spline(known, connection.manifold))
    bound = profile.length * (1 + SAME_LENGTH) + profile.length_error
    return length - error > bound, profile.score_evals
