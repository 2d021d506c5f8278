"""Stops: where a ray ends before its parameter does.

- :class:`AfterLength`, :class:`AfterArc`: after a metric or a Euclidean length.
- :class:`LeavesTypicalSet`: where the noise energy leaves a band; one score evaluation more per
  step.
- :class:`LeavesNorms`: where the norm of the points leaves a band.
"""

from diffusion_geodesics.ivp import (
    AfterArc,
    AfterLength,
    LeavesNorms,
    LeavesTypicalSet,
    Stop,
)

__all__ = ["AfterArc", "AfterLength", "LeavesNorms", "LeavesTypicalSet", "Stop"]
