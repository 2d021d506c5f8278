"""All jobs of the page: one at a time for each model, and few that wait."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, final

from diffusion_geodesics.runtime.run import Observer
from diffusion_geodesics.web.job import Job

if TYPE_CHECKING:
    from diffusion_geodesics.models import DiffusionModel

Loader = Callable[[str, Observer], "DiffusionModel"]
"""Loads a model by its name, telling an observer."""

MOST_WAITING = 8
"""Jobs that may wait, of all sessions together."""
MOST_MODELS = 2
"""Models that are kept in memory."""
MOST_KEPT = 64
"""Jobs that are kept to be looked at."""


class BusyError(ValueError):
    """A job that cannot be taken; the message says why."""


@final
class ModelQueue:
    """A model, loaded once and kept, and the jobs that want it, in order of arrival."""

    def __init__(self, name: str, loader: Loader) -> None:
        self.name, self._loader = name, loader
        self.model: DiffusionModel | None = None
        self.loading = False
        self.using = threading.Lock()
        """Held while the model computes."""
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()

    def add(self, job: Job) -> None:
        """Run a job after those that are there."""
        with self._lock:
            self._jobs.append(job)
            if len(self._jobs) == 1:
                threading.Thread(target=self._work, name=f"job {self.name}", daemon=True).start()

    def ahead(self, job: Job) -> int:
        """Jobs that go before this one."""
        with self._lock:
            return self._jobs.index(job) if job in self._jobs else 0

    @property
    def waiting(self) -> int:
        """Jobs behind the one that runs and not stopped."""
        with self._lock:
            return sum(not job.look().over for job in list(self._jobs)[1:])

    @property
    def idle(self) -> bool:
        """Whether there is no job."""
        with self._lock:
            return not self._jobs

    def load(self, observer: Observer) -> DiffusionModel:
        """The model, loaded if it is not."""
        if self.model is None:
            self.loading = True
            try:
                self.model = self._loader(self.name, observer)
            finally:
                self.loading = False
        return self.model

    def _work(self) -> None:
        while True:
            with self._lock:
                job = self._jobs[0]
            with self.using:
                job.run(self.load)
            with self._lock:
                self._jobs.popleft()
                if not self._jobs:
                    return


@final
class JobBoard:
    """The jobs of all sessions by a key that only their own page knows."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._queues: OrderedDict[str, ModelQueue] = OrderedDict()
        self._jobs: OrderedDict[str, tuple[Job, ModelQueue]] = OrderedDict()
        self._lock = threading.Lock()

    def start(self, key: str, model: str, job: Job) -> Job:
        """Take a job.

        Raises:
            BusyError: a job of this key is not over yet, or too many jobs wait.
        """
        with self._lock:
            if key in self._jobs and not self._jobs[key][0].look().over:
                raise BusyError("A job of this page is still running; stop it first.")
            queue = self._queue(model)
            waiting = sum(q.waiting for q in self._queues.values())
            if waiting >= MOST_WAITING and not queue.idle:
                raise BusyError(
                    f"The queue is full: {waiting} jobs wait already; try again in a few minutes."
                )
            if key in self._jobs:
                del self._jobs[key]
            self._jobs[key] = job, queue
            self._drop_old()
            queue.add(job)
        return job

    def find(self, key: str) -> Job | None:
        """The latest job of a key."""
        with self._lock:
            return self._jobs[key][0] if key in self._jobs else None

    def ahead(self, key: str) -> int:
        """Jobs before that of a key."""
        with self._lock:
            job, queue = self._jobs[key]
        return queue.ahead(job)

    def queue(self, model: str) -> ModelQueue:
        """The queue of a model."""
        with self._lock:
            return self._queue(model)

    def close(self) -> None:
        """Stop everything."""
        with self._lock:
            jobs = [job for job, _ in self._jobs.values()]
        for job in jobs:
            job.stop()

    def _queue(self, model: str) -> ModelQueue:
        """Of a model; queues that nobody uses make room: those without a model, then the oldest."""
        if model not in self._queues:
            self._queues[model] = ModelQueue(model, self._loader)
        self._queues.move_to_end(model)
        others = [q for q in self._queues.values() if q.idle and q.name != model]
        loaded = [q for q in others if q.model is not None]
        dropped = loaded[: max(0, len(loaded) - (MOST_MODELS - 1))]
        for queue in others:
            if queue.model is None or queue in dropped:
                del self._queues[queue.name]
        return self._queues[model]

    def _drop_old(self) -> None:
        over = [key for key, (job, _) in self._jobs.items() if job.look().over]
        for key in over[: max(0, len(self._jobs) - MOST_KEPT)]:
            del self._jobs[key]
