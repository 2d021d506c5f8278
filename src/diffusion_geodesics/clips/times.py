"""Times of frames: their mean rate, and whether they are evenly spaced."""

import numpy as np
from jaxtyping import Float64

_UNEVEN = 0.05
"""Share of the median interval by which an interval may differ and still count as equal."""


def even_times(count: int, rate: float) -> Float64[np.ndarray, " frames"]:
    """Seconds after the first of so many frames at a rate."""
    return np.arange(count) / rate


def mean_rate(times: Float64[np.ndarray, " frames"], otherwise: float) -> float:
    """Frames a second, on average."""
    if len(times) < 2:
        return otherwise
    return float((len(times) - 1) / (times[-1] - times[0]))


def in_mean_intervals(
    times: Float64[np.ndarray, " frames"], tick: float
) -> Float64[np.ndarray, " frames"]:
    """Times in units of their mean interval, from 0; whole numbers where frames are evenly spaced
    but for the rounding of their times."""
    units = (times - times[0]) * mean_rate(times, 1.0)
    even = np.arange(len(times), dtype=np.float64)
    rounding = 1.001 * tick * mean_rate(times, 1.0) + 1e-6
    return even if float(np.abs(units - even).max()) <= rounding else units


def uneven_intervals(times: Float64[np.ndarray, " frames"], tick: float) -> tuple[str, ...]:
    """A word on the intervals between frames, where they are not all the same."""
    if len(times) < 3:
        return ()
    intervals = np.diff(times)
    median = float(np.median(intervals))
    unlike = int((np.abs(intervals - median) > max(_UNEVEN * median, 2.0 * tick)).sum())
    if not unlike:
        return ()
    return (
        f"the frame rate varies: intervals of {_seconds(float(intervals.min()))} to "
        f"{_seconds(float(intervals.max()))}, {unlike} of {len(intervals)} unlike the median of "
        f"{_seconds(median)}; the times in the file are used",
    )


def _seconds(value: float) -> str:
    return f"{value:.3g} s"
