"""Metrics made of a density or of its score."""

from diffusion_geodesics.metric.conformal import Conformal, ConformalMetric
from diffusion_geodesics.metric.connection import Connection, Field, Metric

__all__ = ["Conformal", "ConformalMetric", "Connection", "Field", "Metric"]
