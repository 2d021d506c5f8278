"""A process is recognised by host, boot, namespace, id and start time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from diffusion_geodesics.runtime import owner
from diffusion_geodesics.runtime.owner import Owner, hold


def test_text_and_back() -> None:
    here = Owner.current()
    assert Owner.parse(str(here)) == here
    assert here.pid == os.getpid()
    assert here.is_local


@pytest.mark.parametrize("text", ["", "a.b.c", "host.00.1.x.1", "host.00.1.1", "ü.00.1.1.1"])
def test_other_text_is_no_owner(text: str) -> None:
    assert Owner.parse(text) is None


def test_a_running_process_is_not_gone_and_an_ended_one_is(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = owner._started(child.pid)
    assert started is not None
    theirs = replace(Owner.current(), pid=child.pid, started=started)
    assert not theirs.is_gone(tmp_path)
    assert replace(theirs, started="1").is_gone(tmp_path)  # an earlier process with this id
    child.communicate(b"\n")
    assert theirs.is_gone(tmp_path)


def test_nothing_is_known_of_another_host(tmp_path: Path) -> None:
    theirs = replace(Owner.current(), host="elsewhere", boot="ffffffff", pid=1, started="1")
    assert not theirs.is_local
    assert not theirs.is_gone(tmp_path)


@pytest.mark.parametrize("change", [{"namespace": "1"}, {"boot": "ffffffff"}])
def test_a_lock_decides_for_other_containers_and_earlier_boots(
    tmp_path: Path, change: dict[str, str]
) -> None:
    theirs = replace(Owner.current(), **change)
    file = tmp_path / "file"
    file.mkdir()
    assert not theirs.is_gone(file)  # it may just have been made, and not yet be locked
    old = time.time() - 2 * owner.SETTLED_SECONDS
    os.utime(file, (old, old))
    assert theirs.is_gone(file)
    descriptor = hold(file)
    assert descriptor is not None
    assert not theirs.is_gone(file)
    os.close(descriptor)
    assert theirs.is_gone(file)
    assert not theirs.is_gone(tmp_path / "missing")


def test_systems_without_proc_look_the_process_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner, "_boot", lambda: owner.NO_BOOT_ID)
    monkeypatch.setattr(owner, "_namespace", lambda: "0")
    monkeypatch.setattr(owner, "_started", lambda pid: None)
    here = Owner.current()
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert not here.is_gone(tmp_path)
    assert replace(here, pid=child.pid).is_gone(tmp_path)
    assert not replace(here, pid=child.pid, host="elsewhere").is_gone(tmp_path)
