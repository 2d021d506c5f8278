"""Shards of a batch as an array of SLURM jobs.

Every task of the array is a batch of its own on the node that it gets: it computes one shard with
worker processes, and is queued again when SLURM preempts it or its time is up.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from diffusion_geodesics.batch.engines.here import LocalPool
from diffusion_geodesics.batch.job import Job
from diffusion_geodesics.batch.manifest import BatchPair, read_manifest
from diffusion_geodesics.batch.pair_store import PairStore
from diffusion_geodesics.batch.pool import EngineError
from diffusion_geodesics.batch.progress import BatchObserver, BatchProgress
from diffusion_geodesics.batch.run import run_batch
from diffusion_geodesics.batch.settings import BatchSettings

EVERY = 5.0
"""Seconds between looks at the progress."""
MOST_MINUTES = 24 * 60
"""Time limit of a task, unless ``time`` says otherwise; it is queued again when that is up."""
MOST_REQUEUES = 1000
"""How often a task is queued again whose time is up."""


@final
@dataclass(frozen=True)
class ShardTask:
    """One task of the array."""

    job: Job  # what the batch is
    pairs: tuple[BatchPair, ...]
    out: Path
    how: BatchSettings
    shard: tuple[int, int]  # (number from 1, count)
    workers: int | None = None  # processes; None for as many as the machine takes

    def __call__(self) -> BatchProgress:
        pool = LocalPool(self.job, self.out, self.how.retries, self.workers)
        together = self.how.pairs_per_batch
        return run_batch(self.job, self.pairs, self.out, pool, shard=self.shard, together=together)

    def checkpoint(self) -> Any:
        """What is queued in its place when its time is up; what is done is on disk."""
        import submitit  # pyright: ignore[reportMissingImports]

        return submitit.helpers.DelayedSubmission(self)


def run_on_slurm(
    job: Job,
    pairs: Sequence[BatchPair],
    out: Path,
    how: BatchSettings,
    *,
    observer: BatchObserver,
    cluster: str = "slurm",
    workers: int | None = None,
) -> BatchProgress:
    """Compute pairs in an array of ``how.workers`` tasks, and wait for it."""
    executor = _executor(out, how, cluster)
    count = how.workers or 1
    shards = [(number, count) for number in range(1, count + 1)]
    with executor.batch():
        shared = (job, tuple(pairs), out, how)
        tasks = [executor.submit(ShardTask(*shared, shard, workers)) for shard in shards]
    started = time.monotonic()
    try:
        while not all(task.done() for task in tasks):
            observer(_progress(out, len(pairs), count, time.monotonic() - started))
            time.sleep(EVERY if cluster == "slurm" else 0.2)
    except BaseException:
        for task in tasks:
            task.cancel()
        raise
    progress = _progress(out, len(pairs), count, time.monotonic() - started)
    errors = [error for task in tasks if (error := task.exception()) is not None]
    if errors and progress.settled < progress.total:
        lines = [x for x in str(errors[0]).splitlines() if re.match(r"[\w.]+: ", x)]
        reason = lines[-1] if lines else str(errors[0])
        raise EngineError(f"a task has failed: {reason}; its log is in {executor.folder}")
    return progress


def _executor(out: Path, how: BatchSettings, cluster: str) -> Any:
    try:
        import submitit  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise EngineError(
            'the engine slurm needs submitit: pip install "diffusion-geodesics[slurm]"'
        ) from None
    given = {key: value for key, _, value in (text.partition("=") for text in how.sbatch)}
    minutes = given.pop("time", str(MOST_MINUTES))
    if not minutes.isdecimal() or not all(given.values()):
        raise EngineError(
            f"sbatch is {', '.join(how.sbatch)}; expected NAME=VALUE, and time in minutes"
        )
    try:
        executor = submitit.AutoExecutor(
            folder=out / "slurm", cluster=cluster, slurm_max_num_timeout=MOST_REQUEUES
        )
    except RuntimeError as error:
        raise EngineError(f"SLURM cannot be had: {error}") from error
    options: dict[str, Any] = {"name": "geodesic", "timeout_min": int(minutes)}
    if how.gpus:
        options["gpus_per_node"] = int(how.gpus)
    if cluster == "slurm":
        options["slurm_additional_parameters"] = {"requeue": True, **given}
        options["slurm_array_parallelism"] = how.workers or 1
    executor.update_parameters(**options)
    return executor


def _progress(out: Path, total: int, count: int, seconds: float) -> BatchProgress:
    """What is on disk."""
    store, manifest = PairStore(out), read_manifest(out)
    progress = BatchProgress(total, workers=count, seconds=seconds)
    if manifest is None:
        return progress
    done = store.done()
    failed = [(failure.name, failure.reason) for _, failure in store.failures()]
    count_done = sum(pair.key in done for pair in manifest.pairs)
    return replace(progress, done=count_done, failed=len(failed), names=tuple(failed[-20:]))
