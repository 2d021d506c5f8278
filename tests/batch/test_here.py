"""Batches on this machine: every pair once, whatever happens to workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from diffusion_geodesics.batch.engines.here import LocalPool
from diffusion_geodesics.batch.manifest import BatchPair, read_manifest
from diffusion_geodesics.batch.pair_store import PairStore, StoreError
from diffusion_geodesics.batch.pool import EngineError
from diffusion_geodesics.batch.progress import BatchProgress
from diffusion_geodesics.batch.run import check_out, run_batch
from tests.batch.toys import ToyJob, begun, toy_pairs
from tests.runtime.sandbox import mount_tmpfs, run_in_child, tree

BEHAVIOUR = {
    "pair2": "die",
    "pair3": "raise",
    "pair4": "refuse",
    "pair5": "die once",
    "pair6": "raise once",
}


@dataclass
class Ran:
    """A batch that has been run."""

    folder: Path
    pairs: Sequence[BatchPair]
    last: BatchProgress
    seen: list[BatchProgress] = field(default_factory=list)

    @property
    def log(self) -> list[str]:
        return begun(self.folder / "log")

    @property
    def store(self) -> PairStore:
        return PairStore(self.folder / "out")


def run(folder: Path, job: ToyJob, pairs: Sequence[BatchPair], workers: int = 2) -> Ran:
    out, seen = folder / "out", list[BatchProgress]()
    pool = LocalPool(job, out, 2, workers)
    last = run_batch(job, pairs, out, pool, observer=seen.append)
    return Ran(folder, pairs, last, seen)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A batch with pairs of every kind, and one whose file is missing."""
    folder = tmp_path_factory.mktemp("mixed")
    pairs = toy_pairs(folder / "in", 12)
    Path(pairs[11].b).unlink()
    return run(folder, ToyJob(behaviour=BEHAVIOUR, log=folder / "log"), pairs)


def test_a_poisoned_pair_and_a_missing_file_end_in_words_and_the_others_are_done(
    mixed: Ran,
) -> None:
    assert (mixed.last.done, mixed.last.failed, mixed.last.settled) == (8, 4, 12)
    failures = {f.name: f for _, f in mixed.store.failures()}
    assert failures["pair2"].reason == "its worker was killed by SIGKILL, as when memory runs out"
    assert failures["pair3"].reason == "RuntimeError: no luck with pair3"
    assert failures["pair4"].reason == "pair4 is no pair"
    assert "No such file" in failures["pair11"].reason
    tries = Counter(mixed.log)
    assert [tries[f"pair{i}"] for i in range(8)] == [1, 1, 3, 3, 1, 2, 2, 1]
    assert {f.name: f.attempts for f in failures.values()} == {
        "pair2": 3,
        "pair3": 3,
        "pair4": 1,
        "pair11": 1,
    }


def test_nothing_else_is_left_in_the_folder(mixed: Ran) -> None:
    out = mixed.folder / "out"
    assert sorted(p.name for p in out.iterdir()) == ["failed", "manifest.jsonl", "pairs"]
    manifest = read_manifest(out)
    assert manifest is not None
    done = {p.key for p in manifest.pairs} - {key for key, _ in mixed.store.failures()}
    assert mixed.store.done() == done
    assert tree(out / "pairs" / min(done)) == ["frames", "frames/000.bin", "result.json"]


def test_progress_is_told(mixed: Ran) -> None:
    settled = [p.settled for p in mixed.seen]
    assert settled == sorted(settled)
    assert mixed.last.workers == 2
    assert mixed.last.pairs_per_minute > 0
    assert mixed.last.seconds_left == 0
    assert dict(mixed.last.names).keys() == {"pair2", "pair3", "pair4", "pair11"}


def test_no_process_is_left(mixed: Ran) -> None:
    assert multiprocessing.active_children() == []


def test_started_again_it_tries_what_failed_and_nothing_else(tmp_path: Path) -> None:
    pairs = toy_pairs(tmp_path / "in", 4)
    job = ToyJob(behaviour={"pair1": "refuse"}, log=tmp_path / "log")
    first = run(tmp_path, job, pairs, workers=1)
    assert (first.last.done, first.last.failed) == (3, 1)
    inodes = {key: (first.store.pairs / key).stat().st_ino for key in first.store.done()}
    mended = ToyJob(log=tmp_path / "log")
    again = run(tmp_path, mended, pairs, workers=1)
    assert (again.last.before, again.last.done, again.last.failed) == (3, 1, 0)
    assert again.log == ["pair0", "pair1", "pair2", "pair3", "pair1"]
    assert {k: (again.store.pairs / k).stat().st_ino for k in inodes} == inodes
    assert dict(again.store.failures()) == {}


def test_a_model_that_cannot_be_loaded_ends_the_batch_in_words(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no such model"):
        run(tmp_path, ToyJob(load_error="there is no such model"), toy_pairs(tmp_path / "in", 1))
    assert multiprocessing.active_children() == []


def test_a_full_disk_ends_the_batch_in_words_and_keeps_what_is_done(tmp_path: Path) -> None:
    pairs = toy_pairs(tmp_path / "in", 30)

    def action() -> None:
        out = tmp_path / "out"
        out.mkdir()
        mount_tmpfs(out, "400k")
        job = ToyJob(size=30_000)
        with pytest.raises(StoreError, match=r"No space left .* the same command goes on"):
            run(tmp_path, job, pairs, workers=2)
        done = PairStore(out).done()
        assert 2 < len(done) < 20
        assert {len(tree(out / "pairs" / key)) for key in done} == {3}
        assert not any((out / "work").glob(".*"))

    run_in_child(action)


def test_read_only_media_are_found_out_before_any_work(tmp_path: Path) -> None:
    def action() -> None:
        mount_tmpfs(tmp_path, read_only=True)
        with pytest.raises(OSError, match=r"cannot be written: Read-only file system; choose"):
            check_out(tmp_path / "out")

    run_in_child(action)


def test_a_folder_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="holds no batch"):
        check_out(tmp_path)


def started(folder: Path, job: ToyJob, count: int) -> subprocess.Popen[bytes]:
    """The same batch in another process."""
    program = (
        "import signal, sys; from pathlib import Path; from tests.batch.test_here import run; "
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(130)); "
        "from tests.batch.toys import toy_pairs, ToyJob; folder = Path(sys.argv[1]); "
        "job = ToyJob(float(sys.argv[2]), log=folder / 'log'); "
        "run(folder, job, toy_pairs(folder / 'in', int(sys.argv[3])), 1)"
    )
    command = [sys.executable, "-c", program, str(folder), str(job.seconds), str(count)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, env=environment())


def environment() -> dict[str, str]:
    """The environment in which tests can be imported."""
    root = Path(__file__).parents[2]
    return {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root}"}


@pytest.mark.whole
def test_two_batches_on_one_folder_share_the_work(tmp_path: Path) -> None:
    pairs = toy_pairs(tmp_path / "in", 24)
    job = ToyJob(0.05, log=tmp_path / "log")
    other = started(tmp_path, job, 24)
    mine = run(tmp_path, job, pairs, workers=1)
    assert other.communicate(timeout=120)[1] == b""
    assert other.returncode == 0
    assert mine.last.settled == 24
    assert mine.last.failed == 0
    assert len(mine.store.done()) == 24
    assert max(Counter(mine.log).values()) == 1  # nothing was computed twice
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["manifest.jsonl", "pairs"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_driver_that_is_ended_leaves_no_process_and_a_clean_folder(
    tmp_path: Path, signum: signal.Signals
) -> None:
    """SIGTERM drops the pair at hand; after SIGKILL the next start sweeps."""
    toy_pairs(tmp_path / "in", 5)
    driver = started(tmp_path, ToyJob(60.0, log=tmp_path / "log"), 5)
    limit = time.monotonic() + 120
    while not begun(tmp_path / "log") and time.monotonic() < limit:
        time.sleep(0.05)
    workers = children(driver.pid)
    assert workers
    driver.send_signal(signum)
    driver.wait(60)
    assert driver.stderr is not None
    driver.stderr.close()
    while any(map(running, workers)) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not any(map(running, workers))
    if signum is signal.SIGKILL:
        run(tmp_path, ToyJob(), toy_pairs(tmp_path / "in", 5), workers=1)
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert [name for name in names if name != "pairs"] == ["manifest.jsonl"]


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(folder.name))
    return found


def running(pid: int) -> bool:
    """Whether a process runs, a zombie not counted."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
