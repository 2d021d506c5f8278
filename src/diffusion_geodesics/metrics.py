r"""Metrics: what makes a path short.

- :class:`Conformal`: lengths weighted by a function of the density, from a score alone; the
  default. With α (the paper's :math:`p^{-\alpha}`) or another :class:`Weight`: :class:`Power`,
  :class:`Hinged` (no gain from more density than a cap) or :class:`LogLinear` (mild where the
  density is low).
- :class:`ConformalMetric`: the same for a density, whose inner product can be evaluated.
- :class:`MetricEnergy`: any metric as an :class:`Energy`, for :class:`EnergyMinimiser`.
"""

from diffusion_geodesics.metric import (
    Conformal,
    ConformalMetric,
    Connection,
    Energy,
    Field,
    Hinged,
    LogLinear,
    Metric,
    MetricEnergy,
    Power,
    Weight,
)

__all__ = [
    "Conformal",
    "ConformalMetric",
    "Connection",
    "Energy",
    "Field",
    "Hinged",
    "LogLinear",
    "Metric",
    "MetricEnergy",
    "Power",
    "Weight",
]
