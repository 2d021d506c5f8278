"""A process that is killed at any moment loses neither the former run nor a delivered one."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.runtime import storage
from diffusion_geodesics.runtime._entries import Entry, State, entries
from diffusion_geodesics.runtime._rules import contents
from diffusion_geodesics.runtime.storage import check_folder
from tests.runtime.sandbox import mount_tmpfs, run_in_child, tree
from tests.runtime.test_storage import RUN, text_of, write

pytestmark = pytest.mark.whole


@pytest.fixture(params=["beside", "inside"])
def placement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "inside":
        monkeypatch.setattr(storage, "_is_renamable", lambda path: not path.exists())
    return str(request.param)


def whole_runs(folder: Path) -> set[str]:
    """Texts of the complete copies of a run anywhere below a folder, moved ones included."""
    files = [*folder.rglob("a.txt"), *folder.rglob("000.png")]
    texts = [file.read_text() for file in files if file.stat().st_size]
    return {text for text in texts if texts.count(text) == 2}


def test_a_kill_at_any_call_keeps_a_whole_run(tmp_path: Path, placement: str) -> None:
    """Kill before the k-th call that changes the disk, for every k; look; start again."""
    found = set[str]()
    calls = 0
    for k in itertools.count(1):
        calls = k
        parent = tmp_path / str(k)
        folder = parent / "one"
        parent.mkdir()
        write(folder, "former")
        killed = run_in_child(lambda to=folder: write(to, "new", overwrite=True), k)
        assert whole_runs(parent) & {"former", "new"}
        if (folder / "result.json").exists():
            assert text_of(folder) in {"former", "new"}  # never half a run that looks whole
        check_folder(folder, overwrite=True)
        text = text_of(folder)
        found.add(text)
        assert text in {"former", "new"} if killed else text == "new"
        write(folder, "newest", overwrite=True)
        assert text_of(folder) == "newest"
        assert tree(parent) == RUN
        if not killed:
            break
    assert found == {"former", "new"}
    assert calls > 10


def test_a_kill_at_any_call_of_a_first_run_leaves_all_or_nothing(
    tmp_path: Path, placement: str
) -> None:
    for k in itertools.count(1):
        parent = tmp_path / str(k)
        folder = parent / "one"
        folder.mkdir(parents=True)
        killed = run_in_child(lambda to=folder: write(to, "new"), k)
        storage._recover(folder)
        if contents(folder):
            assert text_of(folder) == "new"
        else:
            write(folder, "new")
        assert tree(parent) == RUN
        if not killed:
            break


@pytest.mark.slow
def test_a_kill_while_recovering_from_a_kill(tmp_path: Path, placement: str) -> None:
    """Every state that a kill leaves, and a kill at every call of what the next start does."""
    for k in itertools.count(1):
        made = tmp_path / f"made-{k}"
        made.mkdir()
        write(made / "one", "former")
        killed = run_in_child(lambda to=made / "one": write(to, "new", overwrite=True), k)
        if not list(entries(made)) and not list(entries(made / "one")) and killed:
            continue
        for j in itertools.count(1):
            parent = tmp_path / f"{k}-{j}"
            shutil.copytree(made, parent, symlinks=True)
            again = run_in_child(lambda to=parent / "one": storage._recover(to), j)
            check_folder(parent / "one", overwrite=True)
            assert text_of(parent / "one") in {"former", "new"}
            if not again:
                break
        if not killed:
            break


def test_the_former_run_comes_back_when_the_kill_was_between_both_renames(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    write(folder, "former")
    for k in itertools.count(1):
        run_in_child(lambda: write(folder, "new", overwrite=True), k)
        if not folder.exists():
            break
        write(folder, "former", overwrite=True)
    check_folder(folder, overwrite=True)
    assert text_of(folder) == "former"
    with pytest.raises(FileExistsError, match="finished results of process") as e:
        check_folder(folder)
    finished = Path(str(e.value).rpartition(" are in ")[2])
    assert text_of(finished) == "new"  # complete, and kept until another is delivered
    write(folder, "newest", overwrite=True)
    assert tree(tmp_path) == RUN


def test_a_mount_point_survives_kills(tmp_path: Path) -> None:
    def action() -> None:
        mount_tmpfs(tmp_path)
        for k in itertools.count(1):
            folder = tmp_path / f"run-{k}"
            folder.mkdir()
            mount_tmpfs(folder)
            write(folder, "former")
            killed = run_in_child(lambda to=folder: write(to, "new", overwrite=True), k)
            check_folder(folder, overwrite=True)
            assert text_of(folder) == "new" if not killed else text_of(folder) in {"former", "new"}
            if not killed:
                break

    run_in_child(action)


def plant(folder: Path, target: str, state: State, **owner: str | int) -> Entry:
    """A folder that another process is made out to have left."""
    entry = Entry.new(folder, target, state)
    entry = replace(entry, owner=replace(entry.owner, **owner))
    entry.path.mkdir()
    (entry.path / "a.txt").write_text("theirs")
    return entry


def dead_process() -> int:
    """The id of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("target", ["one", "another", ""])
def test_what_others_own_is_never_touched(tmp_path: Path, state: State, target: str) -> None:
    folder = tmp_path / "one"
    write(folder, "former")
    place = tmp_path if target else folder
    other_host = {"host": "elsewhere", "boot": "00000000"}
    kept = [
        plant(place, target, state),  # of this very process, which runs
        plant(place, target, state, **other_host),
        plant(place, target, state, **other_host, pid=dead_process()),
    ]
    storage._recover(folder)
    write(tmp_path / "two", "new")
    assert all((entry.path / "a.txt").read_text() == "theirs" for entry in kept)


def test_what_dead_processes_of_this_host_left_is_swept(tmp_path: Path) -> None:
    pid = dead_process()
    plant(tmp_path, "one", State.STAGING, pid=pid)
    plant(tmp_path, "another", State.STAGING, pid=pid)
    plant(tmp_path, "another", State.FORMER, pid=pid)
    plant(tmp_path, "one", State.STAGING, started="1")  # the id is in use by another process
    check_folder(tmp_path / "one")
    assert tree(tmp_path) == []


def test_a_killed_process_that_nobody_waits_for_counts_as_dead(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it is a zombie from here on
    started = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
    plant(tmp_path, "one", State.STAGING, pid=child.pid, started=started)
    check_folder(tmp_path / "one")
    assert tree(tmp_path) == []
    child.wait()


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(st.sampled_from(["run", "overwrite", "check"]), st.integers(0, 40)), max_size=6
    )
)
def test_any_sequence_of_runs_and_kills(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Whatever is started and killed: what was delivered last, or a later one, can be read."""
    parent = tmp_path_factory.mktemp("runs")
    folder = parent / "one"
    delivered, started = -1, set[int]()
    for number, (kind, kill_at) in enumerate(steps):
        overwrite = kind != "run"
        if delivered >= 0 and not overwrite:
            with pytest.raises(FileExistsError):
                check_folder(folder)
            continue
        if kind == "check":
            check_folder(folder, overwrite=True)
        else:
            started.add(number)
            text = str(number)
            killed = run_in_child(
                lambda over=overwrite, t=text: write(folder, t, overwrite=over), kill_at
            )
            delivered = delivered if killed else number
        check_folder(folder, overwrite=True)
        if folder.exists():
            current = int(text_of(folder))
            assert current in started
            assert current >= delivered
            delivered = current
        else:
            assert delivered == -1
    write(folder, "last", overwrite=True)
    assert tree(parent) == RUN


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize(
    "calls",
    ["rename", "mkdir", "fsync", "unlinkat", "fsync:error=EIO", "mkdir:error=ENOSPC"],
)
def test_faults_that_the_kernel_injects(tmp_path: Path, calls: str) -> None:
    """The same with real processes, which strace kills or lets fail at the k-th system call."""
    name, _, fault = calls.partition(":")
    program = (
        "import sys; from pathlib import Path; from tests.runtime.test_storage import write; "
        "write(Path(sys.argv[1]), 'new', overwrite=True)"
    )
    statuses = []
    for k in (1, 2, 4):
        parent = tmp_path / str(k)
        parent.mkdir()
        folder = parent / "one"
        write(folder, "former")
        fault_at = f"{name}:{fault or 'signal=KILL'}:when={k}"
        command = ["strace", "-f", "-qq", "-o", os.devnull, "-e", f"inject={fault_at}"]
        done = subprocess.run(
            [*command, sys.executable, "-B", "-c", program, str(folder)],
            stderr=subprocess.DEVNULL,
            check=False,
        )
        statuses.append(done.returncode)
        check_folder(folder, overwrite=True)
        assert text_of(folder) in {"former", "new"}
        write(folder, "newest", overwrite=True)
        assert text_of(folder) == "newest"
    assert any(statuses), "no fault was injected"
