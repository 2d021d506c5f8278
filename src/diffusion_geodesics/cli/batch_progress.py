"""The progress of a batch: one line that changes on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from typing import final

from diffusion_geodesics.batch.progress import BatchProgress
from diffusion_geodesics.runtime.paths import printable

EVERY = 30.0  # seconds between lines where there is no terminal


@final
class ProgressLine:
    """Shows the progress of a batch on the error stream; a context manager that is called."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._last = -EVERY
        self._shown = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *error: object) -> None:
        if self._terminal and self._shown:
            print(file=sys.stderr)

    def __call__(self, progress: BatchProgress) -> None:
        """Show progress, if it is time."""
        every = 0.2 if self._terminal else EVERY
        last = progress.settled == progress.total
        if time.monotonic() - self._last < every and not (last and self._terminal):
            return
        self._last, self._shown = time.monotonic(), True
        start, end = ("\r", "\033[K") if self._terminal else ("", "\n")
        print(f"{start}{printable(_line(progress))}", end=end, file=sys.stderr, flush=True)

    def summarise(self, progress: BatchProgress) -> None:
        """Say how the batch has ended."""
        for name, reason in progress.names:
            print(printable(f"failed: {name}: {reason}"), file=sys.stderr)
        before = f" ({progress.before} of them before)" if progress.before else ""
        rate = f", {progress.pairs_per_minute:.3g} pairs/min" if progress.done else ""
        done = f"{progress.before + progress.done} of {progress.total} pairs done{before}"
        print(f"{done}, {progress.failed} failed{rate}", file=sys.stderr)


def _line(progress: BatchProgress) -> str:
    parts = [f"{progress.before + progress.done} of {progress.total} pairs done"]
    if progress.failed:
        parts.append(f"{progress.failed} failed")
    if progress.pairs_per_minute:
        parts.append(f"{progress.pairs_per_minute:.3g} pairs/min")
    if progress.seconds_left is not None:
        parts.append(f"{_duration(progress.seconds_left)} left")
    if progress.slowest[0]:
        parts.append(f"slowest {progress.slowest[0]} ({progress.slowest[1]:.1f} s)")
    return f"{', '.join(parts)}; workers: {progress.workers}"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
