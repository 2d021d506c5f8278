r"""The score-Jacobian metric :math:`g = J^{\mathsf T} J` with :math:`J = \nabla s`.

Status: experimental. On a pretrained latent flow of digits (36 dimensions) and a prototype of the
embedded portrait model (1024 dimensions), judged against slerp, its paths gave no better images or
worse ones (docs/metrics.md). Between the modes of a density J is singular, so that it is no metric
there.

References:
    Saito, Matsubara, Image Interpolation with Score-based Riemannian Metrics of Diffusion Models,
    2025.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.manifold import Flat, Manifold
from diffusion_geodesics.metric import Energy
from diffusion_geodesics.metric.differentiable import (
    gradient_evaluations,
    jacobian_product,
    require_gradient,
)


@dataclass(frozen=True)
class ScoreJacobian(Energy):
    r"""The energy of :math:`g = J^{\mathsf T} J`.

    .. math:: \ell_i^2 = |s(x_{i+1}) - s(x_i)|^2

    No Jacobian is formed: this is flat space mapped by :math:`x \mapsto s(x)`. Where that map is
    one-to-one, a geodesic is the preimage of the straight line from s(A) to s(B), and the distance
    is |s(A) - s(B)|. Where J is singular, two points with the same score have distance 0.

    Args:
        score: s, in flat space.
    """

    score: Score

    @property
    def manifold(self) -> Manifold:
        return Flat()

    def segments(
        self, t: Float[Tensor, " nodes"], nodes: Float[Tensor, "nodes paths dim"]
    ) -> Float[Tensor, "segments paths"]:
        score = self.score(t[:, None], nodes)
        if nodes.requires_grad:
            require_gradient(score, self.score)
        return (score[1:] - score[:-1]).square().sum(-1)

    def evaluations(self, nodes: int, *, gradient: bool) -> int:
        return nodes * (gradient_evaluations(self.score) if gradient else 1)

    def inner(
        self,
        t: Float[Tensor, "*#batch"],
        x: Float[Tensor, "*batch dim"],
        u: Float[Tensor, "*batch dim"],
        v: Float[Tensor, "*batch dim"],
    ) -> Float[Tensor, "*batch"]:
        """J u · J v, with J taken as symmetric.

        Cost:
            2 derivatives of the score per point.
        """
        left, right = (jacobian_product(self.score, t, x, w)[1] for w in (u, v))
        return (left * right).sum(-1)
