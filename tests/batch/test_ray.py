"""Batches on Ray, where it is installed: on one node and on two."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diffusion_geodesics.batch.engines.ray import RayPool
from diffusion_geodesics.batch.pair_store import PairStore
from diffusion_geodesics.batch.pool import EngineError
from diffusion_geodesics.batch.run import run_batch
from tests.batch.test_here import BEHAVIOUR, environment
from tests.batch.toys import ToyJob, begun, toy_pairs

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)


def test_workers_that_die_on_ray_cost_no_other_pair(tmp_path: Path) -> None:
    pairs, out = toy_pairs(tmp_path / "in", 12), tmp_path / "out"
    job = ToyJob(behaviour=BEHAVIOUR, log=tmp_path / "log")
    progress = run_batch(job, pairs, out, RayPool(job, out, 2, 2))
    assert (progress.done, progress.failed) == (9, 3)
    failures = {f.name: f for _, f in PairStore(out).failures()}
    assert failures.keys() == {"pair2", "pair3", "pair4"}
    assert failures["pair2"].attempts == 3
    tries = Counter(begun(tmp_path / "log"))
    assert [tries[f"pair{i}"] for i in range(8)] == [1, 1, 3, 3, 1, 2, 2, 1]
    assert sorted(p.name for p in out.iterdir()) == ["failed", "manifest.jsonl", "pairs"]


def test_gpus_that_a_cluster_lacks_are_refused_at_once(tmp_path: Path) -> None:
    job = ToyJob()
    with pytest.raises(EngineError, match="each worker is to get 64 GPUs and the Ray cluster has"):
        run_batch(job, (), tmp_path / "out", RayPool(job, tmp_path, 2, 1, gpus=64))


def test_an_address_where_nobody_answers_is_refused_at_once(tmp_path: Path) -> None:
    pool = RayPool(ToyJob(), tmp_path, 2, 1, "127.0.0.1:1")
    with pytest.raises(EngineError, match="no Ray cluster answers at 127.0.0.1:1: .*refused; give"):
        run_batch(ToyJob(), (), tmp_path / "out", pool)


@pytest.fixture
def two_nodes() -> Iterator[str]:
    """The address of a cluster of two local nodes with one core each."""
    folder = f"/tmp/geodesic-ray-{os.getpid()}"
    head = ("--head", "--port", "0", "--include-dashboard", "false", "--temp-dir", folder)
    with (
        _node(r"--address='?([\d.]+:\d+)", *head) as address,
        _node("(Ray runtime started)", "--address", address),
    ):
        yield address
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _node(awaited: str, *arguments: str) -> Iterator[str]:
    """A node that runs, and what it has said; other clusters of this machine are left alone."""
    ray = Path(sys.executable).with_name("ray")
    command = [ray, "start", "--block", *arguments, "--num-cpus", "1", "--num-gpus", "0"]
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        try:
            found = next(filter(None, (re.search(awaited, line) for line in node.stdout)))
            yield found[1]
        finally:
            node.terminate()


def test_two_nodes_share_the_work(tmp_path: Path, two_nodes: str) -> None:
    pairs, out = toy_pairs(tmp_path / "in", 10), tmp_path / "out"
    job = ToyJob(0.2, log=tmp_path / "log")
    progress = run_batch(job, pairs, out, RayPool(job, out, 2, None, two_nodes))
    assert (progress.done, progress.failed, progress.workers) == (10, 0, 2)
    assert len(PairStore(out).done()) == 10
    assert Counter(begun(tmp_path / "log")).most_common(1)[0][1] == 1
