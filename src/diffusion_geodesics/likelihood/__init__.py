"""Log densities along a path by line integral, and absolute ones by the probability flow.

- :func:`line_density`: relative to the start of a path, by integrating a score; 65 evaluations.
- :func:`log_density`: absolute, by transporting points along the probability flow to pure noise,
  whose density is known; some hundred to thousands of evaluations per point.

Traces: :class:`ShiftedHutchPlusPlus` by default; :class:`ExactTrace` in few dimensions;
:class:`Hutchinson` for comparison. Derivatives are chosen automatically; :class:`ForwardMode` needs
the least memory, :class:`ReverseMode` the least time on a CPU, and :class:`CentralDifferences`
works for every network.
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
from diffusion_geodesics.likelihood.trace import ExactTrace, Hutchinson, ShiftedHutchPlusPlus, Trace

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
