"""Metrics made of a density or of its score."""

from diffusion_geodesics.metric.conformal import Conformal, ConformalMetric
from diffusion_geodesics.metric.connection import Connection, Field, LogDensityOf, Metric
from diffusion_geodesics.metric.derivative import CentralDifference
from diffusion_geodesics.metric.energy import Energy, MetricEnergy, ScoreJacobian
from diffusion_geodesics.metric.fisher_rao import (
    DenoiserMoments,
    FisherRao,
    MixtureMoments,
    Moments,
    spacetime_point,
)
from diffusion_geodesics.metric.stein import Stein
from diffusion_geodesics.metric.weight import Hinged, LogLinear, Power, Weight

__all__ = [
    "CentralDifference",
    "Conformal",
    "ConformalMetric",
    "Connection",
    "DenoiserMoments",
    "Energy",
    "Field",
    "FisherRao",
    "Hinged",
    "LogDensityOf",
    "LogLinear",
    "Metric",
    "MetricEnergy",
    "MixtureMoments",
    "Moments",
    "Power",
    "ScoreJacobian",
    "Stein",
    "Weight",
    "spacetime_point",
]
