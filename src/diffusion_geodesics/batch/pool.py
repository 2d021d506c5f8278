"""Workers, wherever they run: what the dispatcher needs of an engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from diffusion_geodesics.batch.job import Facts
from diffusion_geodesics.batch.worker import Outcome, Task

MEMORY_EACH = 1.5
"""Memory to allow a worker, in units of what it takes with its model loaded."""


class EngineError(RuntimeError, ValueError):
    """Workers cannot be had or kept; one line says why and what to do."""


@final
@dataclass(frozen=True)
class Ended:
    """A task that a worker has finished, or died of."""

    task: Task
    outcomes: Sequence[Outcome]  # of its pairs; those that lack one are to be tried again
    death: str = ""  # how the worker died; empty where it did not


class Pool(ABC):
    """Worker processes. A context manager: at its end no process is left."""

    @abstractmethod
    def start(self) -> Facts:
        """Start the first worker and wait until its model is loaded."""

    @abstractmethod
    def grow(self, facts: Facts, most: int) -> int:
        """Start the other workers."""

    @property
    @abstractmethod
    def idle(self) -> int:
        """How many workers wait for a task."""

    @abstractmethod
    def submit(self, task: Task) -> None:
        """Give a task to a worker that waits for one."""

    @abstractmethod
    def wait(self, seconds: float) -> Sequence[Ended]:
        """The tasks that have ended, as soon as there is one; none after so many seconds."""

    @abstractmethod
    def close(self) -> None:
        """End all workers; what they were at is dropped."""

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
