"""Attempts at pairs: one process at a time, counted, taken over from those that have ended."""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from diffusion_geodesics.batch import claims as module
from diffusion_geodesics.batch.claims import Attempt, Busy, Claims, Spent, beating
from diffusion_geodesics.runtime.owner import Owner
from tests.runtime.sandbox import tree
from tests.runtime.test_storage_killed import dead_process


def left_by(claims: Claims, key: str, number: int, **owner: str | int) -> Path:
    """An attempt that another process is made out to have begun."""
    claims.folder.mkdir(exist_ok=True)
    path = claims.folder / f"{key}.{number}"
    them = replace(Owner.current(), **owner)
    path.write_text(json.dumps({"owner": str(them), "ticket": "theirs"}))
    return path


def test_one_process_at_a_time(tmp_path: Path) -> None:
    claims = Claims(tmp_path, 3)
    first = claims.take("key", "one", {})
    assert isinstance(first, Attempt)
    assert first.number == 1
    assert isinstance(claims.take("key", "two", {}), Busy)
    assert isinstance(claims.take("other", "two", {}), Attempt)
    claims.give_back(first)
    again = claims.take("key", "two", {})
    assert isinstance(again, Attempt)
    assert again.number == 1


def test_of_many_threads_one_gets_the_pair(tmp_path: Path) -> None:
    claims, found = Claims(tmp_path, 3), []
    start = threading.Barrier(8)

    def work(number: int) -> None:
        start.wait()
        found.append(claims.take("key", str(number), {}))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(each).__name__ for each in found) == ["Attempt", *["Busy"] * 7]


def test_failed_attempts_are_counted_and_the_last_reason_is_kept(tmp_path: Path) -> None:
    claims = Claims(tmp_path, 2)
    for number in (1, 2):
        attempt = claims.take("key", "mine", {})
        assert isinstance(attempt, Attempt)
        assert attempt.number == number
        claims.give_up(attempt, f"reason {number}", "trace")
    assert claims.take("key", "mine", {}) == Spent(2, "reason 2", "trace")
    claims.settle("key")
    assert tree(tmp_path) == []


def test_attempts_of_dead_processes_are_taken_over(tmp_path: Path) -> None:
    claims = Claims(tmp_path, 3)
    left_by(claims, "key", 1, pid=dead_process())
    found = claims.take("key", "mine", {})
    assert isinstance(found, Attempt)
    assert found.number == 2


def test_attempts_of_other_hosts_are_taken_over_when_they_give_no_sign_of_life(
    tmp_path: Path,
) -> None:
    claims = Claims(tmp_path, 3)
    path = left_by(claims, "key", 1, host="elsewhere", boot="00000000", pid=dead_process())
    assert isinstance(claims.take("key", "mine", {}), Busy)
    long_ago = time.time() - module.LEASE - 1
    os.utime(path, (long_ago, long_ago))
    assert isinstance(claims.take("key", "mine", {}), Attempt)


def test_a_process_that_is_alive_keeps_its_attempt_however_long_it_takes(tmp_path: Path) -> None:
    claims = Claims(tmp_path, 3)
    path = left_by(claims, "key", 1)
    os.utime(path, (0, 0))
    assert isinstance(claims.take("key", "mine", {}), Busy)


def test_void_tickets_and_the_own_one_end_an_attempt(tmp_path: Path) -> None:
    claims = Claims(tmp_path, 2)
    left_by(claims, "key", 1)
    left_by(claims, "key", 2)
    assert claims.take("key", "mine", {"theirs": "its worker died"}) == Spent(
        2, "its worker died", ""
    )
    assert isinstance(claims.take("key", "theirs", {}), Spent)


def test_an_attempt_without_content_ends_with_its_lease(tmp_path: Path) -> None:
    claims = Claims(tmp_path, 2)
    (tmp_path / "key.1").touch()
    assert isinstance(claims.take("key", "mine", {}), Busy)
    os.utime(tmp_path / "key.1", (0, 0))
    assert isinstance(claims.take("key", "mine", {}), Attempt)


def test_signs_of_life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT", 0.02)
    attempt = Claims(tmp_path, 2).take("key", "mine", {})
    assert isinstance(attempt, Attempt)
    os.utime(attempt.path, (0, 0))
    with beating([attempt]):
        limit = time.monotonic() + 20
        while attempt.path.stat().st_mtime == 0 and time.monotonic() < limit:
            time.sleep(0.01)
    assert attempt.path.stat().st_mtime > 0


def test_sweeping(tmp_path: Path) -> None:
    claims = Claims(tmp_path / "claims", 3)
    left_by(claims, "done", 1)
    left_by(claims, "running", 1)
    left_by(claims, "dead", 1, pid=dead_process())
    claims.sweep({"done"})
    assert tree(claims.folder) == ["dead.1", "running.1"]
    claims.sweep({"running"}, interrupted=True)
    assert tree(tmp_path) == []
