r"""Classical multidimensional scaling: points in the plane whose distances approximate given ones.

With :math:`B = -\tfrac12 J D^{(2)} J`, J the centring matrix and :math:`D^{(2)}` the squared
distances, the coordinates are the leading eigenvectors of B times the roots of their eigenvalues.

References:
    Torgerson, Multidimensional scaling: I. Theory and method, Psychometrika 1952.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Embedding:
    """Points in the plane whose distances approximate given ones.

    ``share`` is the sum of the two eigenvalues shown over the sum of the absolute values of all, in
    [0, 1]; 1 for points of a plane."""

    positions: Float[Tensor, "points 2"]  # centred
    share: float


def embed(distances: Float[Tensor, "points points"]) -> Embedding:
    """Classical scaling of symmetric distances to two dimensions. The entry of largest absolute
    value on each axis is positive.

    Raises:
        ValueError: a distance is not finite.
    """
    if not bool(torch.isfinite(distances).all()):
        raise ValueError("a distance is not finite; points can only be placed at finite ones")
    square = distances.double().square()
    centred = square - square.mean(0) - square.mean(1, keepdim=True) + square.mean()
    values, vectors = torch.linalg.eigh(-0.5 * centred)
    total = float(values.abs().sum())
    values, vectors = values.flip(0)[:2].clamp_min(0), vectors.flip(1)[:, :2]
    lead = vectors.gather(0, vectors.abs().argmax(0, keepdim=True)).sign()
    positions = vectors * lead * values.sqrt()
    return Embedding(positions, float(values.sum()) / total if total else 1.0)
