"""Workers on a Ray cluster, or on Ray on this machine.

Every node needs this package and sees the folders of the images and of the batch under the same
path.
"""

# ray types its decorators loosely:
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, final

from diffusion_geodesics.batch.job import Device, Facts, Job
from diffusion_geodesics.batch.pair_store import StoreError, reason_of
from diffusion_geodesics.batch.pool import MEMORY_EACH, Ended, EngineError, Pool
from diffusion_geodesics.batch.worker import Outcome, Task, Worker

PATIENCE = 10.0
"""Seconds that a cluster has to answer."""


class _Actor:
    """A worker in a process of Ray's."""

    def __init__(self, job: Job, out: Path, retries: int, threads: int) -> None:
        self._worker = Worker(job, out, retries, Device(None, threads))

    def facts(self) -> Facts:
        return self._worker.facts

    def run(self, task: Task) -> tuple[list[Outcome], bool]:
        """The outcomes, and whether the process can go on."""
        return self._worker.run(task), self._worker.healthy


@final
class RayPool(Pool):
    """Actors on a cluster; those that die are started again, on another node if need be."""

    def __init__(
        self,
        job: Job,
        out: Path,
        retries: int,
        workers: int | None,
        address: str | None = None,
        gpus: float | None = None,
    ) -> None:
        self._job, self._out, self._retries, self._wanted = job, out, retries, workers
        self._address, self._gpus = address, gpus
        self._idle: list[Any] = []
        self._running: dict[Any, tuple[Any, Task]] = {}
        self._starting: dict[Any, Any] = {}

    def start(self) -> Facts:
        ray = _ray()
        _check_address(self._address or "")
        logging.getLogger("ray").setLevel(logging.ERROR)
        try:
            ray.init(
                address=self._address or "local",
                include_dashboard=None if self._address else False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                configure_logging=False,
            )
        except Exception as error:
            raise EngineError(f"Ray cannot be had: {reason_of(error)}") from error
        found = ray.cluster_resources()
        available = found.get("GPU", 0.0)
        self._gpus = min(1.0, available) if self._gpus is None else self._gpus
        if self._gpus > available:
            raise EngineError(
                f"each worker is to get {self._gpus:g} GPUs and the Ray cluster has "
                f"{available:g}; take fewer, or add nodes with GPUs"
            )
        first = self._actor()
        try:
            facts = ray.get(first.facts.remote())
        except Exception as error:
            raise EngineError(_cause(error)) from error
        self._idle.append(first)
        return facts

    def grow(self, facts: Facts, most: int) -> int:
        found = _ray().cluster_resources()
        if self._gpus:
            fitting = int(found.get("GPU", 0.0) / self._gpus)
        else:
            memory = found.get("memory", 0.0) / (MEMORY_EACH * max(1, facts.memory))
            fitting = min(int(found.get("CPU", 1.0)), int(memory))
        count = min(max(1, self._wanted or fitting), most)
        for _ in range(count - 1):
            actor = self._actor()
            self._starting[actor.facts.remote()] = actor
        return count

    def _actor(self) -> Any:
        threads = 0 if self._gpus else 1
        again = {"max_restarts": -1, "max_task_retries": self._retries + 1}
        where = {"num_cpus": 1, "num_gpus": self._gpus or 0, "scheduling_strategy": "SPREAD"}
        actor = _ray().remote(_Actor).options(**again, **where)
        return actor.remote(self._job, self._out, self._retries, threads)

    @property
    def idle(self) -> int:
        return len(self._idle)

    def submit(self, task: Task) -> None:
        actor = self._idle.pop()
        self._running[actor.run.remote(task)] = (actor, task)

    def wait(self, seconds: float) -> Sequence[Ended]:
        ray = _ray()
        pending = [*self._running, *self._starting]
        if not pending:
            raise EngineError("no worker on Ray could be kept")
        ready, _ = ray.wait(pending, num_returns=1, timeout=seconds)
        ended: list[Ended] = []
        for reference in ready:
            if reference in self._starting:
                self._ready(reference)
            else:
                ended.append(self._ended(reference))
        return ended

    def _ready(self, reference: Any) -> None:
        """Take a worker into service whose model is loaded; leave one out that does not start."""
        actor = self._starting.pop(reference)
        with suppress(Exception):
            _ray().get(reference)
            self._idle.append(actor)

    def _ended(self, reference: Any) -> Ended:
        ray = _ray()
        actor, task = self._running.pop(reference)
        try:
            outcomes, healthy = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, StoreError):
                raise StoreError(str(error.cause)) from error
            raise EngineError(_cause(error)) from error
        except ray.exceptions.RayError as error:  # it died more often than Ray tries again
            self._starting[actor.facts.remote()] = actor
            return Ended(task, (), f"its worker died: {reason_of(error)}")
        if healthy:
            self._idle.append(actor)
        else:
            ray.kill(actor, no_restart=False)
            self._starting[actor.facts.remote()] = actor
        return Ended(task, outcomes)

    def close(self) -> None:
        ray = _ray()
        if ray.is_initialized():
            ray.shutdown()
        self._idle, self._running, self._starting = [], {}, {}


def _check_address(address: str) -> None:
    """Refuse HOST:PORT where nobody answers; Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise EngineError(
            f"no Ray cluster answers at {address}: {reason_of(error)}; give the address that "
            "`ray start --head` has said, or none to start Ray on this machine"
        ) from error


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # A worker that gets no GPU sees none.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    try:
        import ray  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise EngineError(
            'the engine ray needs the package ray: pip install "diffusion-geodesics[ray]"'
        ) from None
    return ray


def _cause(error: BaseException) -> str:
    return reason_of(getattr(error, "cause", None) or error)
