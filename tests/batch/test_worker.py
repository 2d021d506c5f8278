"""One worker, in this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from diffusion_geodesics.batch.job import Device
from diffusion_geodesics.batch.manifest import BatchPair, plan
from diffusion_geodesics.batch.pair_store import Failure, PairStore, StoreError
from diffusion_geodesics.batch.worker import Status, Task, Worker
from tests.batch.toys import ToyJob, begun, toy_pairs
from tests.runtime.sandbox import mount_tmpfs, run_in_child, tree


def keyed(folder: Path, count: int) -> tuple[BatchPair, ...]:
    return plan({"job": "toy"}, toy_pairs(folder, count)).pairs


def worker(tmp_path: Path, **behaviour: str) -> Worker:
    job = ToyJob(behaviour=behaviour, log=tmp_path / "log")
    return Worker(job, tmp_path / "out", 1, Device())


def statuses(found: Worker, *pairs: BatchPair, void: Mapping[str, str] = {}) -> list[Status]:
    return [outcome.status for outcome in found.run(Task(pairs, "ticket", void))]


def test_pairs_are_delivered_once(tmp_path: Path) -> None:
    pairs = keyed(tmp_path / "in", 2)
    one = worker(tmp_path)
    assert statuses(one, *pairs) == [Status.DONE] * 2
    assert statuses(one, *pairs) == [Status.FOUND] * 2
    assert begun(tmp_path / "log") == ["pair0", "pair1"]
    assert {name for name in tree(tmp_path / "out") if name.count("/") < 2} == {
        "claims",
        "pairs",
        "work",
        *(f"pairs/{pair.key}" for pair in pairs),
    }


def test_errors_are_tried_again_and_then_written_off(tmp_path: Path) -> None:
    [pair, *_] = keyed(tmp_path / "in", 1)
    one, store = worker(tmp_path, pair0="raise"), PairStore(tmp_path / "out")
    assert statuses(one, pair) == [Status.AGAIN]
    assert store.failure(pair.key) is None
    assert statuses(one, pair) == [Status.FAILED]
    failure = store.failure(pair.key)
    assert failure is not None
    assert (failure.name, failure.attempts) == ("pair0", 2)
    assert failure.reason == "RuntimeError: no luck with pair0"
    assert "Traceback" in failure.traceback
    assert statuses(one, pair) == [Status.FAILED]
    assert begun(tmp_path / "log") == ["pair0"] * 2


def test_what_will_not_work_is_not_tried_again(tmp_path: Path) -> None:
    [first, second] = keyed(tmp_path / "in", 2)
    one = worker(tmp_path, pair0="refuse")
    assert statuses(one, first) == [Status.FAILED]
    Path(second.a).unlink()
    assert statuses(one, second) == [Status.FAILED]
    assert [f.attempts for _, f in PairStore(tmp_path / "out").failures()] == [1, 1]


def test_a_pair_that_fails_in_a_batch_takes_no_other_with_it(tmp_path: Path) -> None:
    pairs = keyed(tmp_path / "in", 3)
    found = statuses(worker(tmp_path, pair1="refuse"), *pairs)
    assert found == [Status.DONE, Status.FAILED, Status.DONE]


def test_two_workers_share_pairs(tmp_path: Path) -> None:
    [pair] = keyed(tmp_path / "in", 1)
    one, two = worker(tmp_path), worker(tmp_path)
    claims = one._claims
    attempt = claims.take(pair.key, "another", {})
    assert statuses(two, pair) == [Status.BUSY]
    claims.settle(pair.key)
    assert attempt
    assert statuses(two, pair) == [Status.DONE]


def test_a_task_that_is_given_again_goes_on(tmp_path: Path) -> None:
    """As Ray does with a task whose worker has died."""
    [pair] = keyed(tmp_path / "in", 1)
    one = worker(tmp_path)
    one._claims.take(pair.key, "ticket", {})
    assert statuses(one, pair) == [Status.DONE]


def test_a_full_disk_is_no_fault_of_a_pair(tmp_path: Path) -> None:
    pairs = keyed(tmp_path / "in", 1)

    def action() -> None:
        out = tmp_path / "out"
        out.mkdir()
        mount_tmpfs(out, "100k")
        job = ToyJob(size=10**6)
        with pytest.raises(StoreError, match=r"cannot be written: No space left on device"):
            Worker(job, out, 1, Device()).run(Task(pairs, "ticket"))
        assert [name for name in tree(out) if "/" in name] == []

    run_in_child(action)


def test_a_failed_record_survives_any_text(tmp_path: Path) -> None:
    store = PairStore(tmp_path)
    failure = Failure("caf\udce9", 'line "1"\nline 2', 3, "trace")
    store.write_off("key", failure)
    assert dict(store.failures()) == {"key": failure}
    store.forget_failure("key")
    assert dict(store.failures()) == {}
