r"""Energies of curves: geometries given by the squared lengths of short segments.

.. math:: E = \int g(\gamma', \gamma')\,dt \approx \frac1h \sum_i \ell_i^2, \qquad
          L = \int \sqrt{g(\gamma', \gamma')}\,dt \approx \sum_i \ell_i,

with nodes h apart in the curve parameter. A geodesic at constant metric speed minimises E between
its ends, and then :math:`E = L^2`. Any metric gives the squared lengths by the midpoint rule
(:class:`MetricEnergy`); some geometries give them without forming the metric.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.manifold import Manifold
from diffusion_geodesics.metric.connection import Metric
from diffusion_geodesics.shapes import Nodes


class Energy(ABC):
    """What a minimiser of the energy needs: squared lengths of the segments of a curve."""

    @property
    @abstractmethod
    def manifold(self) -> Manifold:
        """The space of the curves."""

    @abstractmethod
    def segments(self, t: Float[Tensor, " nodes"], nodes: Nodes) -> Float[Tensor, "segments paths"]:
        """Squared lengths ℓ² between consecutive nodes, differentiable by autograd."""

    @abstractmethod
    def evaluations(self, nodes: int, *, gradient: bool) -> int:
        """Score evaluations of :meth:`segments` for one curve of so many nodes, in one batch;
        with the gradient in two. A derivative by autograd counts as one more."""


@dataclass(frozen=True)
class MetricEnergy(Energy):
    r"""The energy of a metric by the midpoint rule, :math:`\ell^2 = g_m(\Delta, \Delta)`, with m
    the midpoint and :math:`\Delta` the difference of two nodes. Autograd must be able to
    differentiate the metric's inner product."""

    metric: Metric

    @property
    def manifold(self) -> Manifold:
        return self.metric.manifold

    def segments(self, t: Float[Tensor, " nodes"], nodes: Nodes) -> Float[Tensor, "segments paths"]:
        middle = self.manifold.project(0.5 * (nodes[1:] + nodes[:-1]))
        step = self.manifold.to_tangent(middle, nodes[1:] - nodes[:-1])
        return self.metric.inner(0.5 * (t[1:] + t[:-1])[:, None], middle, step, step)

    def evaluations(self, nodes: int, *, gradient: bool) -> int:
        return (nodes - 1) * (2 if gradient else 1)
