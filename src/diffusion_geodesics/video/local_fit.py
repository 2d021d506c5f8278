r"""Velocity and acceleration of a sequence of points, by local quadratic fits.

At point i, passed at the time :math:`t_i`, the parabola :math:`b_0 + b_1 s + \frac12 b_2 s^2`,
:math:`s = t_{i+j} - t_i`, is fitted by least squares to the points i + j, :math:`|j| \le m`
(Savitzky and Golay, there for equal times); :math:`b_1, b_2` are velocity and acceleration. m = 1
gives central differences. What the parabola leaves over tells how much of the acceleration is
jitter: with :math:`\hat\sigma^2 = \mathrm{RSS} / (2m - 2)` its expected square is
:math:`\hat\sigma^2 \sum_j w_j^2`, w the weights of :math:`b_2`.

References:
    Savitzky, Golay, Smoothing and differentiation of data by simplified least squares procedures,
    Analytical Chemistry 1964.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class LocalFit:
    """Derivatives at the inner points m .. n-1-m."""

    # shape (inner, *batch, dim), per unit of the times: per frame where none are given
    velocity: Float[Tensor, "inner *batch dim"]
    acceleration: Float[Tensor, "inner *batch dim"]  # per unit squared
    # the share of Σ|acceleration|² that scatter about the parabolas explains, in [0, 1], shape
    # (*batch,); NaN for straight lines, and for m = 1, which leaves nothing
    jitter: Float[Tensor, "*batch"]


def local_fit(
    points: Float[Tensor, "n *batch dim"],
    half: int,
    times: Float[Tensor, "n *batch"] | None = None,
) -> LocalFit:
    """Local parabolas through 2m + 1 points each, m = ``half``."""
    width = 2 * half + 1
    if half < 1 or len(points) < width:
        raise ValueError(
            f"got {len(points)} points for fits over {half} on either side; expected at least "
            f"{width}, and half at least 1"
        )
    if times is None:
        times = torch.arange(len(points)).reshape(-1, *[1] * (points.ndim - 2))
    s = times.detach().to("cpu", torch.float64).unfold(0, width, 1)
    s = s - s[..., half, None]
    basis = torch.stack([torch.ones_like(s), s, 0.5 * s**2], -1)
    weights = torch.linalg.pinv(basis)  # (inner, *batch, 3, width)
    left_over = torch.eye(width, dtype=torch.float64) - basis @ weights
    around = points.unfold(0, width, 1)  # (inner, *batch, dim, width)
    velocity, acceleration = (
        (around @ weights[..., row, :, None].to(points))[..., 0] for row in (1, 2)
    )
    square = acceleration.square().sum(-1).sum(0)
    if half == 1:
        jitter = torch.full_like(square, torch.nan)
    else:
        rest = (around @ left_over.to(points)).square().sum((-1, -2)) / (2 * half - 2)
        expected = (rest * weights[..., 2, :].square().sum(-1).to(rest)).sum(0)
        straight = square <= (1e-9 * velocity).square().sum(-1).sum(0)
        jitter = torch.where(straight, torch.nan, (expected / square.clamp_min(1e-30)).clamp_max(1))
    return LocalFit(velocity, acceleration, jitter)
