"""Scores with derivatives, for metrics and energies that need them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Int
from torch import Tensor

from diffusion_geodesics.density import Score, evaluate
from diffusion_geodesics.shapes import Points, Times


def require_gradient(value: Tensor, score: object) -> None:
    """Check that autograd can differentiate a value with respect to its points."""
    if not value.requires_grad:
        raise ValueError(
            f"{type(score).__name__} gives a value without gradient (it is constant, or runs in "
            "inference mode); expected one that autograd can differentiate. Wrap the score in "
            "FiniteDifferenceScore(score)"
        )


def gradient_evaluations(score: Score) -> int:
    """Score evaluations that one value with its derivative counts as.

    3 by central differences; 2 by autograd, whose backward pass counts as one."""
    return 3 if isinstance(score, FiniteDifferenceScore) else 2


@dataclass(frozen=True)
class FiniteDifferenceScore(Score):
    r"""A score whose derivative is taken by central differences, so that any score has one.

    Its values are those of ``score``; when autograd needs :math:`J^{\mathsf T} u` it gets

    .. math:: J u \approx \frac{|u|}{2\delta}
              \left[s\left(x + \delta \hat u\right) - s\left(x - \delta \hat u\right)\right].

    Args:
        score: s, with a symmetric Jacobian: a gradient.
        step: δ > 0, the Euclidean length of the displacement; by default ε^(1/3) (1 + |x|), with ε
            the rounding unit of x. A score that is noisy or computed in half precision needs more:
            about a tenth of the noise level σ.

    Raises:
        ValueError: ``step`` is not positive and finite.

    Cost:
        1 score evaluation per value; 2 more per derivative, in one batch.
    """

    score: Score
    step: float | None = None

    def __post_init__(self) -> None:
        if self.step is not None and not 0 < self.step < math.inf:
            raise ValueError(f"step is {self.step}; expected a positive finite length")

    def __call__(self, t: Times, x: Points) -> Points:
        return cast("Tensor", _CentralDifference.apply(x, t, self.score, self.step))

    @property
    def precision(self) -> float | None:
        return self.score.precision

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        return FiniteDifferenceScore(self.score.select(index), self.step)


class _CentralDifference(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, t: Tensor, score: Score, step: float | None) -> Tensor:
        ctx.save_for_backward(x, t)
        ctx.score, ctx.step = score, step
        return evaluate(score, t, x.detach()).clone()  # no inference tensor

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None, None, None]:
        x, t = ctx.saved_tensors
        (u,) = gradients
        norm = torch.linalg.vector_norm(u, dim=-1, keepdim=True)
        reach = torch.linalg.vector_norm(x, dim=-1, keepdim=True) + 1
        step = torch.finfo(x.dtype).eps ** (1 / 3) * reach if ctx.step is None else ctx.step
        move = step * u / norm.clamp_min(1e-30)
        times = t.expand(x.shape[:-1])
        with torch.no_grad():
            ahead, behind = evaluate(
                ctx.score, torch.stack([times] * 2), torch.stack([x + move, x - move])
            )
        return (ahead - behind) * (norm / (2 * step)), None, None, None
