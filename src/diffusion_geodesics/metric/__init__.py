"""Metrics made of a density or of its score."""

from diffusion_geodesics.metric.conformal import Conformal, ConformalMetric
from diffusion_geodesics.metric.connection import Connection, Field, LogDensityOf, Metric
from diffusion_geodesics.metric.energy import Energy, MetricEnergy
from diffusion_geodesics.metric.weight import Hinged, LogLinear, Power, Weight

__all__ = [
    "Conformal",
    "ConformalMetric",
    "Connection",
    "Energy",
    "Field",
    "Hinged",
    "LogDensityOf",
    "LogLinear",
    "Metric",
    "MetricEnergy",
    "Power",
    "Weight",
]
