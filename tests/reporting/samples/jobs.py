"""Reports of runs that never ran: one for every job, from invented but plausible data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from diffusion_geodesics.reporting.playback import Lanczos
from diffusion_geodesics.reporting.report import Report
from tests.reporting.samples.analysis import analysis
from tests.reporting.samples.comparison import comparison
from tests.reporting.samples.distances import distances
from tests.reporting.samples.extrapolation import extrapolation
from tests.reporting.samples.interpolation import interpolation

JOBS: Mapping[str, Callable[..., Report]] = {
    "interpolation": interpolation,
    "extrapolation": extrapolation,
    "analysis": analysis,
    "distances": distances,
    "comparison": comparison,
}


def small(job: str) -> Report:
    """The report of a job with as few pixels as will do."""
    options: Mapping[str, dict[str, Any]] = {
        "interpolation": {"n": 5, "height": 40, "width": 30, "upscale": Lanczos(1)},
        "extrapolation": {"n": 9, "size": 24, "upscale": Lanczos(1)},
        "analysis": {"clips": 2},
        "distances": {"n": 4, "size": 24},
        "comparison": {"pairs": 1, "methods": ("geodesic", "slerp", "lerp", "published", "fade")},
    }
    return JOBS[job](**options[job])
