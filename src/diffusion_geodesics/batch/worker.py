"""One worker: a model that is loaded once, and the pairs that it is given."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import final

from diffusion_geodesics.batch.claims import Attempt, Busy, Claims, Spent, beating
from diffusion_geodesics.batch.job import Device, Facts, Job, Write
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.batch.pair_store import Failure, PairStore, reason_of, traceback_of

FINAL = (ValueError, TypeError, FileNotFoundError, IsADirectoryError, PermissionError)
"""Errors that come again however often a pair is tried."""


@final
@dataclass(frozen=True)
class Task:
    """Pairs for one worker to compute together."""

    pairs: tuple[BatchPair, ...]
    ticket: str  # of this task, unlike that of any other
    void: Mapping[str, str] = field(default_factory=dict)  # tickets of dead workers; the reason


@final
class Status(Enum):
    """What became of a pair: DONE by this worker, FOUND done or written off by another process,
    FAILED for good, BUSY with another process, to be tried AGAIN."""

    DONE = "done"
    FOUND = "found"
    FAILED = "failed"
    BUSY = "busy"
    AGAIN = "again"


@final
@dataclass(frozen=True)
class Outcome:
    """What became of a pair."""

    pair: BatchPair
    status: Status
    seconds: float = 0.0  # of computing and writing
    reason: str = ""  # why it failed


@final
class Worker:
    """Computes pairs and delivers them."""

    def __init__(self, job: Job, out: Path, retries: int, device: Device) -> None:
        self._store = PairStore(out)
        self._claims = Claims(out / "claims", retries + 1)
        self._open = job.open(device)
        self.facts: Facts = self._open.facts()
        self.healthy = True

    def use_threads(self, count: int) -> None:
        """Compute with so many threads of the CPU from now on; 0 for as many as it likes."""
        if count:
            self._open.use_threads(count)

    def run(self, task: Task) -> list[Outcome]:
        """Compute the pairs of a task."""
        try:
            return self._run(task)
        except OSError as error:
            raise self._store.error(error) from error

    def _run(self, task: Task) -> list[Outcome]:
        outcomes: list[Outcome] = []
        attempts: dict[BatchPair, Attempt] = {}
        try:
            for pair in task.pairs:
                found = self._begun(pair, task)
                if isinstance(found, Attempt):
                    attempts[pair] = found
                else:
                    outcomes.append(found)
            with beating(list(attempts.values())):
                for pair, outcome in self._computed(list(attempts), attempts):
                    outcomes.append(outcome)
                    del attempts[pair]
        finally:
            for attempt in attempts.values():
                self._claims.give_back(attempt)
        return outcomes

    def _begun(self, pair: BatchPair, task: Task) -> Attempt | Outcome:
        """An attempt at a pair, or why there is none."""
        if (settled := self._settled(pair)) is not None:
            return settled
        found = self._claims.take(pair.key, task.ticket, task.void)
        if isinstance(found, Busy):
            return Outcome(pair, Status.BUSY)
        if isinstance(found, Spent):
            return self._write_off(pair, found)
        if (settled := self._settled(pair)) is not None:  # before its files were deleted
            self._claims.settle(pair.key)
            return settled
        return found

    def _settled(self, pair: BatchPair) -> Outcome | None:
        if self._store.is_done(pair.key):
            return Outcome(pair, Status.FOUND)
        failure = self._store.failure(pair.key)
        return None if failure is None else Outcome(pair, Status.FAILED, 0.0, failure.reason)

    def _computed(
        self, pairs: Sequence[BatchPair], attempts: Mapping[BatchPair, Attempt]
    ) -> list[tuple[BatchPair, Outcome]]:
        """The pairs computed together; one by one where that fails."""
        if not pairs:
            return []
        started = time.perf_counter()
        try:
            writes = self._open.results(pairs)
        except Exception as error:
            if len(pairs) > 1:
                return [found for pair in pairs for found in self._computed([pair], attempts)]
            return [(pairs[0], self._failed(pairs[0], attempts[pairs[0]], error))]
        each = (time.perf_counter() - started) / len(pairs)
        written = zip(pairs, writes, strict=True)
        return [(pair, self._delivered(pair, attempts[pair], w, each)) for pair, w in written]

    def _delivered(
        self, pair: BatchPair, attempt: Attempt, write: Write, seconds: float
    ) -> Outcome:
        started = time.perf_counter()
        try:
            new = self._store.deliver(pair.key, write)
        except OSError:
            raise
        except Exception as error:
            return self._failed(pair, attempt, error)
        self._claims.settle(pair.key)
        status = Status.DONE if new else Status.FOUND
        return Outcome(pair, status, seconds + time.perf_counter() - started)

    def _failed(self, pair: BatchPair, attempt: Attempt, error: Exception) -> Outcome:
        reason, trace = reason_of(error), traceback_of(error)
        self.healthy &= "CUDA error" not in reason  # after one, nothing works in this process
        last = isinstance(error, FINAL) or attempt.number >= self._claims.most
        if last:
            return self._write_off(pair, Spent(attempt.number, reason, trace))
        self._claims.give_up(attempt, reason, trace)
        return Outcome(pair, Status.AGAIN, 0.0, reason)

    def _write_off(self, pair: BatchPair, spent: Spent) -> Outcome:
        failure = Failure(pair.name, spent.reason, spent.attempts, spent.traceback)
        self._store.write_off(pair.key, failure)
        self._claims.settle(pair.key)
        return Outcome(pair, Status.FAILED, 0.0, spent.reason)
