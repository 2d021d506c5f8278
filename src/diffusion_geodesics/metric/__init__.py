"""Metrics made of a density or of its score."""

from diffusion_geodesics.metric.conformal import Conformal, ConformalMetric
from diffusion_geodesics.metric.connection import Connection, Field, LogDensity, Metric
from diffusion_geodesics.metric.weight import Hinged, LogLinear, Power, Weight

__all__ = [
    "Conformal",
    "ConformalMetric",
    "Connection",
    "Field",
    "Hinged",
    "LogDensity",
    "LogLinear",
    "Metric",
    "Power",
    "Weight",
]
