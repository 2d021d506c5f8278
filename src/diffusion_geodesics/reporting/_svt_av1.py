"""What SVT-AV1 does to the process that calls it, undone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def tame_svt_av1() -> Iterator[None]:
    """SVT-AV1 prints its settings unless a variable says to print errors only; and to a process of
    root it gives real-time priority, for good: whatever else waits for a processor then waits."""
    log = os.environ.get("SVT_LOG")
    os.environ["SVT_LOG"] = log or "1"
    known = hasattr(os, "sched_setscheduler")  # of this system
    before = (os.sched_getscheduler(0), os.sched_getparam(0)) if known else None
    try:
        yield
    finally:
        if log is None:
            del os.environ["SVT_LOG"]
        if before is not None and before[0] != os.sched_getscheduler(0):
            os.sched_setscheduler(0, *before)
