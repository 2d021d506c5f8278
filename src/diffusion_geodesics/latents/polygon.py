"""Log densities along sequences of points, from scores at the points."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def log_density(
    points: Float[Tensor, "n *batch dim"], scores: Float[Tensor, "n *batch dim"]
) -> Float[Tensor, "n *batch"]:
    """log p along polygons relative to their start, in nats: ∫ s·dx by the trapezoidal rule.

    Exact where log p is quadratic between neighbouring points. Costs nothing.
    """
    steps = (0.5 * (scores[1:] + scores[:-1]) * points.diff(dim=0)).sum(-1)
    return torch.cat([torch.zeros_like(steps[:1]), steps.cumsum(0)])
