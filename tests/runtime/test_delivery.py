"""Folders that several processes deliver: the first one wins, and nothing is half there."""

from __future__ import annotations

import itertools
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from diffusion_geodesics.runtime._entries import Entry
from diffusion_geodesics.runtime.delivery import (
    create_once,
    deliver_once,
    file_age,
    replace_file,
    sweep_work,
)
from diffusion_geodesics.runtime.storage import staged_folder
from tests.runtime.sandbox import mount_tmpfs, run_in_child, tree
from tests.runtime.test_storage_killed import dead_process


def write(folder: Path, text: str = "new") -> None:
    with staged_folder(folder) as staging:
        (staging / "a.txt").write_text(text)
        (staging / "b").mkdir()
        (staging / "b" / "a.txt").write_text(text)


WHOLE = ["pairs", "pairs/one", "pairs/one/a.txt", "pairs/one/b", "pairs/one/b/a.txt"]


def test_a_folder_appears_whole_and_the_second_finisher_drops_its_own(tmp_path: Path) -> None:
    target, work = tmp_path / "pairs" / "one", tmp_path / "work"
    assert deliver_once(target, work, write)
    inode = target.stat().st_ino
    assert not deliver_once(target, work, lambda folder: write(folder, "second"))
    assert (target / "a.txt").read_text() == "new"
    assert target.stat().st_ino == inode
    sweep_work(work)
    assert tree(tmp_path) == WHOLE


def test_a_kill_at_any_call_leaves_all_or_nothing(tmp_path: Path) -> None:
    """Kill before the k-th call that changes or syncs the disk, for every k; start again."""
    calls = 0
    for k in itertools.count(1):
        calls = k
        out = tmp_path / str(k)
        target, work = out / "pairs" / "one", out / "work"
        killed = run_in_child(lambda t=target, w=work: deliver_once(t, w, write), k)
        if target.exists():
            assert tree(target) == ["a.txt", "b", "b/a.txt"]
        sweep_work(work)
        deliver_once(target, work, write)
        sweep_work(work)
        assert tree(out) == WHOLE
        if not killed:
            break
    assert calls > 8


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        folder.mkdir()
        (folder / "half").write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        deliver_once(tmp_path / "pairs" / "one", tmp_path / "work", fail)
    assert tree(tmp_path) == ["work"]


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    def action() -> None:
        mount_tmpfs(tmp_path, "200k")
        with pytest.raises(OSError, match="No space left"):
            deliver_once(
                tmp_path / "pairs" / "one",
                tmp_path / "work",
                lambda folder: (folder.mkdir(), (folder / "a").write_bytes(bytes(10**6))),
            )
        assert tree(tmp_path) == ["work"]

    run_in_child(action)


def test_one_of_many_creates_a_file(tmp_path: Path) -> None:
    file = tmp_path / "claim"
    assert create_once(file, "mine") is None
    now = create_once(file, "theirs")
    assert now is not None
    assert abs(file_age(file, now)) < 5
    assert file.read_text() == "mine"
    assert tree(tmp_path) == ["claim"]
    assert file_age(tmp_path / "none") == float("inf")


def test_a_file_is_created_where_there_are_no_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*paths: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert create_once(tmp_path / "claim", "mine") is None
    assert create_once(tmp_path / "claim", "theirs") is not None
    assert (tmp_path / "claim").read_text() == "mine"


def test_a_file_of_ours_is_replaced(tmp_path: Path) -> None:
    replace_file(tmp_path / "a" / "b.csv", "one")
    replace_file(tmp_path / "a" / "b.csv", "two")
    assert (tmp_path / "a" / "b.csv").read_text() == "two"
    assert tree(tmp_path) == ["a", "a/b.csv"]


def test_sweeping_leaves_what_is_in_use(tmp_path: Path) -> None:
    def plant(target: str, **owner: str | int) -> Path:
        entry = Entry.new(tmp_path, target)
        entry = replace(entry, owner=replace(entry.owner, **owner))
        entry.path.mkdir()
        return entry.path

    elsewhere = {"host": "elsewhere", "boot": "00000000"}
    running, dead = plant("one"), plant("one", pid=dead_process())
    foreign, of_no_use = plant("one", **elsewhere), plant("done", **elsewhere)
    own = plant("done")  # still being written: it will see for itself
    sweep_work(tmp_path, lambda target: target == "done")
    assert running.exists()
    assert foreign.exists()
    assert own.exists()
    assert not dead.exists()
    assert not of_no_use.exists()


def test_a_folder_that_others_delete_when_it_is_empty(tmp_path: Path) -> None:
    """One process makes and sweeps, another one sweeps all the time, but for moments so short that
    they meet."""
    work, stop = tmp_path / "work", threading.Event()

    def sweep() -> None:
        while not stop.wait(1e-4):
            sweep_work(work)

    thread = threading.Thread(target=sweep)
    thread.start()
    try:
        for i in range(30):
            assert deliver_once(tmp_path / "pairs" / str(i), work, lambda f: f.mkdir())
            assert create_once(work / str(i), "mine") is None
            replace_file(work / str(i), "yours")
            (work / str(i)).unlink()
    finally:
        stop.set()
        thread.join()
    assert len(list((tmp_path / "pairs").iterdir())) == 30
