r"""Energies of curves: geometries that are known by the squared lengths of short segments.

.. math:: E = \int g(\gamma', \gamma')\,dt \approx \frac1h \sum_i \ell_i^2, \qquad
          L = \int \sqrt{g(\gamma', \gamma')}\,dt \approx \sum_i \ell_i,

with nodes h apart in the curve parameter. A geodesic at constant metric speed minimises E between
its ends, and then :math:`E = L^2`. Any metric gives its segments' lengths by the midpoint rule;
some geometries give them without ever forming the metric.

References
----------
Saito, Matsubara, Image Interpolation with Score-based Riemannian Metrics of Diffusion Models, 2025
(:class:`ScoreJacobian`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import Score
from diffusion_geodesics.manifold import Flat, Manifold
from diffusion_geodesics.metric.connection import Metric
from diffusion_geodesics.metric.derivative import (
    gradient_evaluations,
    jacobian_product,
    require_gradient,
)


class Energy(ABC):
    """All that a minimiser of the energy needs: squared lengths of the segments of a curve."""

    @property
    @abstractmethod
    def manifold(self) -> Manifold:
        """The space the curves live in."""

    @abstractmethod
    def segments(
        self, t: Float[Tensor, " nodes"], nodes: Float[Tensor, "nodes paths dim"]
    ) -> Float[Tensor, "segments paths"]:
        """Squared lengths ℓ² between consecutive nodes, second order in the distance, followed by
        autograd. ``t`` are the nodes' curve parameters.

        Raises:
            ValueError: the nodes carry gradients and autograd cannot follow the score.
        """

    @abstractmethod
    def evaluations(self, nodes: int, *, gradient: bool) -> int:
        """Score evaluations that :meth:`segments` of a curve of ``nodes`` nodes costs, with its
        gradient or without; all in one call, and one more for the gradient."""


@dataclass(frozen=True)
class MetricEnergy(Energy):
    r"""The energy of a metric by the midpoint rule, :math:`\ell^2 = g_m(\Delta, \Delta)` with m the
    midpoint and :math:`\Delta` the difference of two nodes.

    Args:
        metric: with an inner product that autograd can follow.
    """

    metric: Metric

    @property
    def manifold(self) -> Manifold:
        return self.metric.manifold

    def segments(
        self, t: Float[Tensor, " nodes"], nodes: Float[Tensor, "nodes paths dim"]
    ) -> Float[Tensor, "segments paths"]:
        middle = self.manifold.project(0.5 * (nodes[1:] + nodes[:-1]))
        step = self.manifold.to_tangent(middle, nodes[1:] - nodes[:-1])
        return self.metric.inner(0.5 * (t[1:] + t[:-1])[:, None], middle, step, step)

    def evaluations(self, nodes: int, *, gradient: bool) -> int:
        return (nodes - 1) * (gradient_evaluations(self.metric.score) if gradient else 1)


@dataclass(frozen=True)
class ScoreJacobian(Energy):
    r"""The score-Jacobian metric :math:`g = J^{\mathsf T} J`, :math:`J = \nabla s`.

    .. math:: \ell_i^2 = |s(x_{i+1}) - s(x_i)|^2,

    with no Jacobian in it: it is flat space seen through the map :math:`x \mapsto s(x)`. Where that
    map is one to one a geodesic is the preimage of the straight line from s(A) to s(B), and the
    distance is |s(A) - s(B)|. Where J is singular, between the modes of a density, it is no metric:
    two points with one score have distance 0.

    Args:
        score: s, flat space only.
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
        """J u · J v, with J taken as symmetric. Cost: two derivatives of the score a point."""
        left, right = (jacobian_product(self.score, t, x, w)[1] for w in (u, v))
        return (left * right).sum(-1)
