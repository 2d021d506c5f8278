"""What a batch costs besides computing: engines, store, and the gain of solving pairs together.

    python -m benchmarks.batches --write benchmarks/results

Three tables: many pairs that only wait, on each engine with a driver of its own; pairs of rendered
heads in one network batch, on one thread, where the numbers of pairs take turns, so that other
programs disturb all alike; and the CPU time of one pair at the default settings.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cyclopts
import torch

from benchmarks.evidence.pairs import Kind, true_pairs
from benchmarks.record import ROOT, Data, commit, table, write_page
from diffusion_geodesics.batch.collect import collect
from diffusion_geodesics.batch.jobs.pair_jobs import InterpolateJob
from diffusion_geodesics.batch.manifest import BatchPair
from diffusion_geodesics.batch.pair_store import PairStore
from diffusion_geodesics.batch.progress import BatchProgress
from diffusion_geodesics.batch.run import run_batch
from diffusion_geodesics.images import save_png
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models import DiffusionModel, load_model
from diffusion_geodesics.models.settings import ModelSettings
from tests.batch.campaign import pool_of
from tests.batch.toys import ToyJob, toy_pairs

SECONDS, WORKERS = 0.05, 2
"""What a pair that only waits takes, and the workers for these."""
SHARES = (0.1, 0.5, 1.0)
"""Shares of a batch at which the memory of its driver is looked at."""
FEW = {"steps": 10, "frames": 5, "refinements": 0, "film_only": True}
TOGETHER = (1, 2, 4, 8)
"""Settings of pairs that are solved together, and how many of them."""


def waiting(engine: str, pairs: int, folder: Path) -> Data:
    """A batch of pairs that only wait, in a process of its own."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    out, job, memory, spent = folder / "out", ToyJob(SECONDS, size=2000), dict[float, float](), {}
    images = [pair.a for pair in toy_pairs(folder / "in", 2 + int(pairs**0.5))]
    every = ((a, b) for a in images for b in images if a != b)
    todo = [BatchPair(f"pair{i}", a, b) for i, (a, b) in zip(range(pairs), every, strict=False)]

    def watch(progress: BatchProgress) -> None:
        for share in SHARES:
            if progress.settled >= share * pairs and share not in memory:
                pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
                memory[share] = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
                spent.update(own=time.process_time() - begun, others=cpu_below(os.getpid()))

    begun = time.process_time()
    last = run_batch(job, todo, out, pool_of(engine, job, out, WORKERS), observer=watch)
    entries = list(out.rglob("*"))
    started = time.process_time()
    collect(out)
    return {
        "engine": engine,
        "pairs": last.done,
        "pairs/s": last.done / last.seconds,
        "of ideal": last.done / last.seconds * SECONDS / WORKERS,
        "driver, CPU ms/pair": 1000 * spent["own"] / pairs,
        "its processes, CPU ms/pair": 1000 * spent["others"] / pairs,
        **{f"driver at {share:.0%}, MB": memory[share] for share in SHARES},
        "files": sum(entry.is_file() for entry in entries),
        "folders": sum(entry.is_dir() for entry in entries),
        "MB on disk": sum(entry.stat().st_blocks * 512 for entry in entries) / 1e6,
        "--collect, CPU s": time.process_time() - started,
    }


def cpu_below(parent: int) -> float:
    """CPU seconds of all processes that a process has started, and of those below them."""
    found = dict[int, tuple[int, int]]()
    for place in Path("/proc").glob("[0-9]*"):
        try:
            fields = (place / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        found[int(place.name)] = int(fields[1]), sum(map(int, fields[11:15]))  # ended ones as well

    def below(pid: int) -> int:
        return sum(own + below(child) for child, (above, own) in found.items() if above == pid)

    return below(parent) / os.sysconf("SC_CLK_TCK")


def computed(
    model: DiffusionModel, pairs: Sequence[BatchPair], together: int, report: bool, **settings: Any
) -> Data:
    """What a pair costs: CPU seconds of computing and of writing, files, and their size."""
    job = InterpolateJob(ModelSettings(), InterpolationSettings.of(**settings), report).opened(
        model
    )
    clock, spans, count = [time.process_time()], [0.0, 0.0], len(pairs)
    with TemporaryDirectory() as folder:
        for i in range(0, count, together):
            writes = job.results(pairs[i : i + together])
            clock.append(time.process_time())
            for k, write in enumerate(writes):
                PairStore(Path(folder)).deliver(str(i + k), write)
            clock.append(time.process_time())
            spans = [s + clock[j] - clock[j - 1] for s, j in zip(spans, (-2, -1), strict=True)]
        sizes = [file.stat().st_size for file in Path(folder).rglob("*") if file.is_file()]
    return {
        "computing, CPU s": spans[0] / count,
        "writing, CPU s": spans[1] / count,
        "files": len(sizes) / count,
        "kB": sum(sizes) / count / 1000,
    }


def computing(pairs: int, rounds: int) -> tuple[list[Data], list[Data]]:
    """The tables of pairs solved together, the least of several rounds, and of one pair."""
    torch.set_num_threads(1)
    model, todo = load_model("embedded"), list[BatchPair]()
    with TemporaryDirectory() as folder:
        for true in true_pairs(pairs, (Kind.ALL,)):
            pair, files = true.pair(64, False), [f"{folder}/{true.name}-{end}.png" for end in "ab"]
            for file, image in zip(files, (pair.a, pair.b), strict=True):
                save_png(file, image)  # type: ignore[arg-type]
            todo.append(BatchPair(pair.name, files[0], files[1]))
        turns = [[computed(model, todo, n, False, **FEW) for n in TOGETHER] for _ in range(rounds)]
        one = [{"report": r, **computed(model, todo[:1], 1, r)} for r in (True, False)]
    least = [min(found["computing, CPU s"] for found in turn) for turn in zip(*turns, strict=True)]
    return [
        {"pairs in a batch": n, "CPU s/pair": s, "of one by one": s / least[0]}
        for n, s in zip(TOGETHER, least, strict=True)
    ], one


def main(
    *,
    pairs: int = 10_000,
    engines: tuple[str, ...] = ("here", "ray"),
    count: int = 16,
    rounds: int = 2,
    write: Path | None = None,
) -> None:
    """Measure what a batch costs besides computing.

    Args:
        pairs: that only wait.
        engines: here, ray, or both.
        count: pairs that are interpolated.
        rounds: of pairs solved together.
        write: folder for batches.md and batches.json.
    """
    data: dict[str, list[Data]] = {"engines": []}
    for engine in engines:
        place = TemporaryDirectory(ignore_cleanup_errors=True)
        with place as folder, ProcessPoolExecutor(1, get_context("spawn")) as driver:
            run = driver.submit(waiting, engine, pairs, Path(folder))
            data["engines"].append(run.result())
            print(data["engines"][-1], flush=True)
    data["together"], data["one pair"] = computing(count, rounds)
    head = f"Batches, measured\n\nMade by `python -m benchmarks.batches` at commit {commit('src')}."
    page = ""
    for name, rows in data.items():
        cells = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in r.values()] for r in rows]
        page += f"## {name}\n\n{table(list(rows[0]), cells)}\n\n"
    write_page(write, "batches", head, page.rstrip(), data)


if __name__ == "__main__":
    cyclopts.run(main)
