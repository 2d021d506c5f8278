"""A job of the page: work in a thread, that others can follow and stop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, final

from diffusion_geodesics.runtime.run import Event, Observer
from diffusion_geodesics.web.failures import explain

if TYPE_CHECKING:
    from diffusion_geodesics.models import DiffusionModel

Work = Callable[["DiffusionModel", Observer], Any]
"""What a job does with its model; what it returns is the job's outcome."""


class StoppedError(Exception):
    """Raised by the observer of a job that was asked to stop."""


class State(Enum):
    """Where a job stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@final
@dataclass(frozen=True)
class StageTime:
    """The latest event of a stage, and how long the stage has run."""

    event: Event
    seconds: float


@final
@dataclass(frozen=True)
class Snapshot:
    """A job at one moment.

    Args:
        state: where it stands.
        stages: by name, in the order in which they began.
        seconds: since it began to run.
        error: one sentence, where it has failed.
        outcome: what the work returned, where it is done.
        figures: live figures, such as residual and length, step by step.
    """

    state: State
    stages: Mapping[str, StageTime]
    seconds: float
    error: str = ""
    outcome: Any = None
    figures: Sequence[Mapping[str, float]] = ()

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state not in (State.WAITING, State.RUNNING)


@final
class Job:
    """Work that one thread runs while others follow it."""

    def __init__(self, work: Work, form: Any = None, weights: Mapping[str, float] | None = None):
        self.form, self.weights = form, dict(weights or {})
        self._work = work
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._state, self._error, self._outcome = State.WAITING, "", None
        self._stages: dict[str, StageTime] = {}
        self._began: dict[str, float] = {}
        self._figures: list[Mapping[str, float]] = []
        self._started = self._ended = 0.0

    def stop(self) -> None:
        """Ask it to end: at once if it waits, else at its next step."""
        self._stop.set()
        with self._lock:
            if self._state is State.WAITING:
                self._state = State.STOPPED

    def run(self, load: Callable[[Observer], DiffusionModel]) -> None:
        """Load the model and do the work; never raises."""
        with self._lock:
            if self._state is not State.WAITING:
                return
            self._state, self._started = State.RUNNING, time.monotonic()
        try:
            self._end(State.DONE, outcome=self._work(load(self.observe), self.observe))
        except StoppedError:
            self._end(State.STOPPED)
        except BaseException as error:  # a thread has nobody to raise to
            self._end(State.FAILED, error=explain(error))

    def observe(self, event: Event) -> None:
        """Keep an event.

        Raises:
            StoppedError: the job was asked to stop.
        """
        if self._stop.is_set():
            raise StoppedError
        now = time.monotonic()
        with self._lock:
            began = self._began.setdefault(event.stage, now)
            self._stages[event.stage] = StageTime(event, now - began)
            if event.figures:
                self._figures.append(event.figures)

    def look(self) -> Snapshot:
        """How it stands now."""
        with self._lock:
            end = self._ended or time.monotonic()
            seconds = end - self._started if self._started else 0.0
            return Snapshot(
                self._state,
                dict(self._stages),
                seconds,
                self._error,
                self._outcome,
                tuple(self._figures),
            )

    def _end(self, state: State, error: str = "", outcome: Any = None) -> None:
        with self._lock:
            self._state, self._error, self._outcome = state, error, outcome
            self._ended = time.monotonic()
