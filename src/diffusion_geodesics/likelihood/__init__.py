r"""Log densities: along a path, by line integral, and absolute, by the probability flow.

`line_density` integrates a score along a path: cheap, relative to the start. `log_density` carries
points along the probability flow to pure noise, whose density is known: dearer, absolute.
"""

from diffusion_geodesics.likelihood.flow import FlowResult, LogDensity, log_density
from diffusion_geodesics.likelihood.jacobian import (
    CentralDifferences,
    Derivative,
    ForwardMode,
    ReverseMode,
)
from diffusion_geodesics.likelihood.line import LineDensity, line_density
from diffusion_geodesics.likelihood.noise import DenoiserNoise, NoiseField, ScoreNoise
from diffusion_geodesics.likelihood.trace import (
    ExactTrace,
    Hutchinson,
    ShiftedHutchPlusPlus,
    Trace,
)

__all__ = [
    "CentralDifferences",
    "DenoiserNoise",
    "Derivative",
    "ExactTrace",
    "FlowResult",
    "ForwardMode",
    "Hutchinson",
    "LineDensity",
    "LogDensity",
    "NoiseField",
    "ReverseMode",
    "ScoreNoise",
    "ShiftedHutchPlusPlus",
    "Trace",
    "line_density",
    "log_density",
]
