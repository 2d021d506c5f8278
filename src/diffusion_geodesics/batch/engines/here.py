"""Worker processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import final

from diffusion_geodesics.batch.job import Device, Facts, Job
from diffusion_geodesics.batch.pair_store import StoreError, reason_of
from diffusion_geodesics.batch.pool import MEMORY_EACH, Ended, EngineError, Pool
from diffusion_geodesics.batch.worker import Task, Worker

GRACE = 10.0
"""Seconds that a worker has to drop its pair when it is asked to end."""
MOST_FAILED_STARTS = 3
"""Workers in a row that may die before their model is loaded."""


@final
@dataclass(eq=False)
class _Process:
    """A worker process as the driver sees it."""

    process: SpawnProcess
    pipe: Connection  # to it and back
    device: Device  # where it computes
    task: Task | None = None  # what it is at; None while it waits
    ready: bool = False  # whether its model is loaded


@final
class LocalPool(Pool):
    """Worker processes on this machine, one a GPU or one a core; those that die are replaced."""

    def __init__(self, job: Job, out: Path, retries: int, workers: int | None) -> None:
        self._job, self._out, self._retries, self._wanted = job, out, retries, workers
        self._workers: list[_Process] = []
        self._failed_starts = 0

    def start(self) -> Facts:
        self._workers.append(self._started(Device()))
        while True:
            _, facts = self._heard(None)
            if facts is not None:
                return facts

    def grow(self, facts: Facts, most: int) -> int:
        if facts.devices:
            count = min(self._wanted or len(facts.devices), most)
            devices = [Device(facts.devices[i % len(facts.devices)]) for i in range(count)]
        else:
            fitting = 1 + int(free_memory() / (MEMORY_EACH * max(1, facts.memory)))
            count = min(self._wanted or max(1, min(cores(), fitting)), most)
            devices = [Device(None, max(1, cores() // count))] * count
        first = self._workers[0]
        first.device = devices[0]
        first.pipe.send(first.device.threads)
        self._workers += [self._started(device) for device in devices[1:]]
        return count

    @property
    def idle(self) -> int:
        return sum(w.ready and w.task is None for w in self._workers)

    def submit(self, task: Task) -> None:
        worker = next(w for w in self._workers if w.ready and w.task is None)
        worker.task = task
        with suppress(OSError):  # it has just died, which `wait` will see
            worker.pipe.send(task)

    def wait(self, seconds: float) -> Sequence[Ended]:
        return self._heard(seconds)[0]

    def _heard(self, seconds: float | None) -> tuple[list[Ended], Facts | None]:
        """What workers have sent, and what became of those that died."""
        ready = wait([end for w in self._workers for end in (w.pipe, w.process.sentinel)], seconds)
        ended: list[Ended] = []
        known: Facts | None = None
        for worker in list(self._workers):
            try:
                while worker.pipe in ready and worker.pipe.poll():
                    message = worker.pipe.recv()
                    if isinstance(message, StoreError):
                        raise message
                    if isinstance(message, EngineError):
                        if not any(other.ready for other in self._workers):
                            raise message  # the model cannot be loaded, nor could it before
                    elif isinstance(message, Facts):
                        worker.ready, known, self._failed_starts = True, message, 0
                    elif worker.task is not None:
                        ended.append(Ended(worker.task, message))
                        worker.task = None
            except (EOFError, ConnectionError):
                worker.process.join(GRACE)
                worker.process.kill()
                worker.process.join()
            if worker.process.exitcode is not None:
                ended += self._replaced(worker)
        return ended, known

    def _replaced(self, worker: _Process) -> list[Ended]:
        """Put a new worker in the place of a dead one."""
        death = _death(worker.process.exitcode)
        self._failed_starts += not worker.ready
        if self._failed_starts >= MOST_FAILED_STARTS:
            raise EngineError(
                f"{MOST_FAILED_STARTS} workers in a row have ended while loading the model (the "
                f"last one {death}); take fewer workers, or a smaller model or precision"
            )
        worker.pipe.close()
        self._workers[self._workers.index(worker)] = self._started(worker.device)
        return [] if worker.task is None else [Ended(worker.task, (), f"its worker {death}")]

    def _started(self, device: Device) -> _Process:
        context = multiprocessing.get_context("spawn")
        mine, theirs = context.Pipe()
        what = (theirs, self._job, self._out, self._retries, device)
        process = context.Process(target=_serve, args=what, name="geodesic worker")
        process.start()
        theirs.close()
        return _Process(process, mine, device)

    def close(self) -> None:
        for worker in self._workers:
            with suppress(OSError):
                worker.pipe.send(None)
            if worker.task is not None or not worker.ready:
                worker.process.terminate()
        limit = time.monotonic() + GRACE
        for worker in self._workers:
            worker.process.join(max(0.0, limit - time.monotonic()))
            if worker.process.exitcode is None:
                worker.process.kill()
                worker.process.join()
            worker.pipe.close()
        self._workers = []


def _death(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            name = signal.Signals(-code).name
            hint = ", as when memory runs out" if name == "SIGKILL" else ""
            return f"was killed by {name}{hint}"
    return f"ended with status {code}"


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory() -> int:
    """Bytes of memory that are free; a careful guess where the system does not say."""
    found = 4 * 2**30
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = 1024 * int(next(x for x in lines if x.startswith("MemAvailable")).split()[1])
    with suppress(OSError, IndexError, ValueError):  # what a container or SLURM allows
        place = Path("/proc/self/cgroup").read_text(encoding="ascii").split("::")[1].strip()
        files = [Path(f"/sys/fs/cgroup{place}/memory.{name}") for name in ("max", "current")]
        limit, used = (int(file.read_text(encoding="ascii")) for file in files)
        found = min(found, limit - used)
    return found


def _serve(pipe: Connection, job: Job, out: Path, retries: int, device: Device) -> None:
    """What a worker process does: load, then compute what it is given until nobody gives."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides
    signal.signal(signal.SIGTERM, _end)
    Thread(target=_end_with_parent, daemon=True).start()
    warnings.simplefilter("ignore")
    if device.threads:
        os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(device.threads))
    try:
        worker = Worker(job, out, retries, device)
        pipe.send(worker.facts)
        while (task := pipe.recv()) is not None:
            if isinstance(task, int):
                worker.use_threads(task)
                continue
            pipe.send(worker.run(task))
            if not worker.healthy:
                return
    except (EOFError, BrokenPipeError):
        return
    except StoreError as error:
        pipe.send(error)
    except Exception as error:
        pipe.send(EngineError(reason_of(error)))


def _end(signum: int, frame: FrameType | None) -> None:
    sys.exit(128 + signum)


def _end_with_parent() -> None:
    """End at once when the driver has ended; what is left behind is swept by the next start."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
