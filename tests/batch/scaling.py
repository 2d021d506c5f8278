"""What engine and store cost a pair, and how much memory the driver takes as a batch grows.

``python -m tests.batch.scaling FOLDER --engine here --pairs 10000 --seconds 0.05 --workers 2``
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.batch.progress import BatchProgress
from diffusion_geodesics.batch.run import run_batch
from tests.batch.campaign import pool_of
from tests.batch.toys import ToyJob, toy_pairs

PAGE = os.sysconf("SC_PAGE_SIZE")


def measured(
    folder: Path, engine: str, pairs: int, seconds: float, workers: int
) -> dict[str, object]:
    """Run a batch of pairs that only wait, and measure what it took."""
    out, job = folder / "out", ToyJob(seconds, size=2000)
    todo = looped(toy_pairs(folder / "in", 200), pairs)
    memory: dict[int, float] = {}
    before = resource.getrusage(resource.RUSAGE_SELF)

    def watch(progress: BatchProgress) -> None:
        memory[10 * progress.settled // progress.total] = resident()

    started = time.perf_counter()
    last = run_batch(job, todo, out, pool_of(engine, job, out, workers), observer=watch)
    wall = time.perf_counter() - started
    own, children = resource.getrusage(resource.RUSAGE_SELF), children_usage()
    sizes = [file.stat().st_blocks * 512 for file in out.rglob("*")]
    return {
        "engine": engine,
        "pairs": pairs,
        "done": last.done,
        "workers": workers,
        "seconds_each": seconds,
        "wall": round(wall, 1),
        "computing": round(last.seconds, 1),
        "pairs_per_second": round(last.done / last.seconds, 2),
        "ideal_pairs_per_second": round(workers / seconds, 2) if seconds else None,
        "driver_cpu_ms_a_pair": round(1000 * (cpu(own) - cpu(before)) / pairs, 2),
        "workers_cpu_ms_a_pair": round(1000 * cpu(children) / pairs, 2),
        "driver_mb_by_tenths": [round(memory[k], 1) for k in sorted(memory)],
        "out_mb": round(sum(sizes) / 1e6, 1),
        "out_files": len(sizes),
    }


def looped(pairs: Sequence[BatchPair], count: int) -> list[BatchPair]:
    """As many pairs as wanted of few files: all ordered pairs of their images."""
    images = [pair.a for pair in pairs]
    every = ((a, b) for a in images for b in images if a != b)
    return [BatchPair(f"pair{i}", a, b) for i, (a, b) in zip(range(count), every, strict=False)]


def resident() -> float:
    """Memory of this process now, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6


def children_usage() -> resource.struct_rusage:
    """Of all processes that this one has started and that have ended."""
    return resource.getrusage(resource.RUSAGE_CHILDREN)


def cpu(usage: resource.struct_rusage) -> float:
    """Seconds of a processor."""
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default="here", choices=("here", "ray"))
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=0.05)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args(sys.argv[1:])
    given.folder.mkdir(parents=True)
    print(json.dumps(measured(**vars(given)), indent=1))
