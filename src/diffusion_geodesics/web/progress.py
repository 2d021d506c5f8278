"""How a job stands, as the page shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from diffusion_geodesics.runtime.run import STAGES
from diffusion_geodesics.web.job import Snapshot, StageTime, State
from diffusion_geodesics.web.templates import render


def progress_html(part: str, seen: Snapshot, weights: Mapping[str, float], ahead: int = 0) -> str:
    """The stages of a job with bars, the time that is left and live figures."""
    running = seen.state is State.RUNNING
    return render(
        "progress",
        part=part,
        error=seen.error,
        status=_status(seen, weights, ahead),
        stages=_stages(seen, weights) if running else [],
        live=_live(seen) if running else "",
        curve=curve([f["residual"] for f in seen.figures if f.get("residual", 0) > 0]),
    )


def seconds_left(stages: Mapping[str, StageTime], weights: Mapping[str, float]) -> float | None:
    """Seconds that the stages with weights still need; None where nothing can be said yet.

    Costs done so far took the time that those stages have run; the rest is taken to go as fast.
    Stages may end early, so it is at most about that much.
    """
    total = sum(weights.values())
    done = sum(weights.get(name, 0.0) * share(stage) for name, stage in stages.items())
    spent = sum(stage.seconds for name, stage in stages.items() if name in weights)
    if total <= 0 or done <= 0.02 * total or spent <= 0:
        return None
    return max(0.0, (total - done) * spent / done)


def share(stage: StageTime) -> float:
    """How much of a stage is done, in [0, 1]; 0 where that is not known."""
    event = stage.event
    return min(1.0, event.done / event.total) if event.total else 0.0


def duration(seconds: float) -> str:
    """In words: seconds, or minutes and seconds."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def curve(values: Sequence[float]) -> str:
    """Points of a line through the logarithms of values, in a box of 120 by 28; empty for one."""
    if len(values) < 2:
        return ""
    logs = [math.log(v) for v in values]
    low, span = min(logs), (max(logs) - min(logs)) or 1.0
    step = 116 / (len(logs) - 1)
    return " ".join(
        f"{2 + i * step:.1f},{26 - 24 * (v - low) / span:.1f}" for i, v in enumerate(logs)
    )


def _status(seen: Snapshot, weights: Mapping[str, float], ahead: int) -> str:
    match seen.state:
        case State.WAITING:
            jobs = f"{ahead} job{'s' if ahead != 1 else ''}"
            return f"Waiting: {jobs} of this model before yours."
        case State.DONE:
            return f"Done in {duration(seen.seconds)}."
        case State.STOPPED:
            return "Stopped."
        case State.FAILED:
            return "Failed."
    current = list(seen.stages.values())[-1].event.stage if seen.stages else "load"
    left = seconds_left(seen.stages, weights)
    text = "" if left is None or current == "write" else f", about {duration(left)} left"
    return f"{STAGES.get(current, current)}: {duration(seen.seconds)} so far{text}."


def _stages(seen: Snapshot, weights: Mapping[str, float]) -> list[dict[str, Any]]:
    names = [*seen.stages, *(name for name in weights if name not in seen.stages)]
    rows = []
    for name in names:
        stage = seen.stages.get(name)
        done = 0.0 if stage is None else share(stage)
        state = "next" if stage is None else "done" if done >= 1 else "now"
        rows.append(
            {
                "title": STAGES.get(name, name),
                "share": None if state == "now" and done == 0 else done,
                "state": state,
                "note": "" if stage is None else _note(stage),
            }
        )
    return rows


def _note(stage: StageTime) -> str:
    event = stage.event
    count = f"{event.done} of {event.total}" if event.total > 1 else event.detail
    return ", ".join(filter(None, (count, duration(stage.seconds) if stage.seconds >= 1 else "")))


def _live(seen: Snapshot) -> str:
    """The latest figures, such as the solver's residual and length."""
    if not seen.figures:
        return ""
    return ", ".join(f"{name} {value:.3g}" for name, value in seen.figures[-1].items())
