"""Handing pairs out to workers until every pair is done or written off."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import final

from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.batch.pair_store import PairStore
from diffusion_geodesics.batch.pool import Ended, Pool
from diffusion_geodesics.batch.progress import BatchObserver, BatchProgress
from diffusion_geodesics.batch.worker import Outcome, Status, Task

PATIENCE = 2.0
"""Seconds until a pair is looked at again that another process works on."""


@final
@dataclass(frozen=True)
class _Waiting:
    """Pairs that wait for a worker, and the tickets of workers that have died of them."""

    pairs: tuple[BatchPair, ...]
    void: Mapping[str, str] = field(default_factory=dict)


@final
class Dispatcher:
    """Hands pairs out."""

    def __init__(
        self, pool: Pool, store: PairStore, progress: BatchProgress, observer: BatchObserver
    ) -> None:
        self._pool, self._store, self._observer = pool, store, observer
        self.progress = progress
        self._queue: deque[_Waiting] = deque()
        self._busy: deque[tuple[float, _Waiting]] = deque()
        self._running = 0
        self._started = time.monotonic()

    def run(self, pairs: Sequence[BatchPair], together: int) -> BatchProgress:
        """Hand out pairs until all are settled."""
        for start in range(0, len(pairs), together):
            self._queue.append(_Waiting(tuple(pairs[start : start + together])))
        while self._queue or self._busy or self._running:
            self._look_again()
            while self._queue and self._pool.idle:
                self._submit(self._queue.popleft())
            for ended in self._pool.wait(1.0):
                self._take(ended)
            self._tell()
        return self.progress

    def _submit(self, waiting: _Waiting) -> None:
        left = []
        for pair in waiting.pairs:
            if self._store.is_done(pair.key):
                self.progress = self.progress.after(Outcome(pair, Status.FOUND))
            else:
                left.append(pair)
        if left:
            self._pool.submit(Task(tuple(left), secrets.token_hex(8), waiting.void))
            self._running += 1

    def _take(self, ended: Ended) -> None:
        self._running -= 1
        void = dict(ended.task.void)
        if ended.death:
            void[ended.task.ticket] = ended.death
        settled = set[BatchPair]()
        for outcome in ended.outcomes:
            settled.add(outcome.pair)
            if outcome.status is Status.BUSY:
                waiting = _Waiting((outcome.pair,), void)
                self._busy.append((time.monotonic() + PATIENCE, waiting))
            elif outcome.status is Status.AGAIN:
                self._queue.append(_Waiting((outcome.pair,), void))
            else:
                self.progress = self.progress.after(outcome)
        # One by one, so that a pair that kills its worker takes no other with it again.
        left = (pair for pair in ended.task.pairs if pair not in settled)
        self._queue.extend(_Waiting((pair,), void) for pair in left)

    def _look_again(self) -> None:
        """Put pairs back into the queue that another process had some time ago."""
        while self._busy and self._busy[0][0] <= time.monotonic():
            self._queue.append(self._busy.popleft()[1])

    def _tell(self) -> None:
        seconds = time.monotonic() - self._started
        self.progress = replace(self.progress, seconds=seconds)
        self._observer(self.progress)
