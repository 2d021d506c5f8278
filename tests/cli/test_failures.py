"""How a command ends: in one line and with a status of its own, whatever went wrong."""

from __future__ import annotations

import errno
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from diffusion_geodesics.clips import open_clip
from diffusion_geodesics.runtime.storage import UnsavedError
from tests.cli.conftest import Geodesic, Said


@pytest.fixture
def ending(
    geodesic: Geodesic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[], object]], Said]:
    """Runs the command line with something else in the place of its commands."""

    def run(body: Callable[[], object]) -> Said:
        module = sys.modules["diffusion_geodesics.cli.main"]
        monkeypatch.setattr(module, "parse", lambda parser: body())
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        return geodesic("anything", cwd=tmp_path)

    return run


Ending = Callable[[Callable[[], object]], Said]


def raising(error: BaseException) -> Callable[[], NoReturn]:
    def body() -> NoReturn:
        raise error

    return body


def unsaved(cause: Exception) -> Callable[[], NoReturn]:
    """A result that could not be saved, as the store says it."""

    def body() -> NoReturn:
        from diffusion_geodesics.runtime.storage import staged_folder

        with staged_folder("out") as staging:
            (staging / "frame.png").write_bytes(b"0")
            raise cause

    return body


DEFECTS = (
    lambda: int("x"),
    lambda: b"\xff".decode(),
    lambda: [].pop(),
    lambda: torch.zeros(2) @ torch.zeros(3),
    raising(AssertionError("never")),
    raising(RuntimeError("two\nlines")),
)


@pytest.mark.parametrize("body", DEFECTS)
def test_the_traceback_of_a_defect_is_in_a_file_that_is_named(
    ending: Ending, tmp_path: Path, body: Callable[[], object]
) -> None:
    said = ending(body)
    assert said.status == 1
    named = re.search(r"please report it with (\S+)$", said.error)
    assert named is not None, said.error
    log = Path(named[1])
    assert log.parent == tmp_path
    assert "Traceback (most recent call last)" in log.read_text()


def test_what_a_user_can_cause_is_one_line_and_no_file(ending: Ending, tmp_path: Path) -> None:
    refused = ending(lambda: open_clip(tmp_path / "missing.mp4"))
    assert refused.error.endswith("missing.mp4 does not exist; check the path")
    system = ending(lambda: (tmp_path / "missing" / "file").write_text(""))
    assert "No such file or directory" in system.error
    assert (refused.status, system.status) == (1, 1)
    assert not list(tmp_path.glob("*.log"))


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        torch.OutOfMemoryError("HIP out of memory"),
    ],
)
def test_memory_that_ran_out_is_no_defect(ending: Ending, error: Exception) -> None:
    said = ending(raising(error))
    assert said.status == 1
    assert said.error.startswith("error: out of memory")
    assert "choose a smaller size" in said.error


def test_a_result_that_was_not_saved_for_a_defect_says_both(ending: Ending, tmp_path: Path) -> None:
    defect = ending(unsaved(TypeError("no plot")))
    assert re.search(r"no plot; what was written is in (\S+);.* report it with", defect.error)
    full = ending(unsaved(OSError(errno.ENOSPC, "No space left on device")))
    assert "No space left on device; what was written is in" in full.error
    assert "report it" not in full.error
    assert len(list(tmp_path.glob("out-unsaved-*"))) == 2
    assert issubclass(UnsavedError, OSError)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_every_signal_ends_it_in_one_line(
    ending: Ending, number: signal.Signals, status: int
) -> None:
    cleaned = []

    def body() -> None:
        try:
            signal.raise_signal(number)
        finally:
            cleaned.append(number)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs ignore it
    try:
        said = ending(body)
    finally:
        signal.signal(signal.SIGINT, before)
    assert (said.status, said.error, cleaned) == (status, "error: stopped", [number])


def test_a_reader_that_went_away_is_told_nothing(ending: Ending) -> None:
    said = ending(raising(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert (said.status, said.err) == (141, "")


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; G='{sys.executable} -m diffusion_geodesics'; {command}"],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("$G interpolate --help | true", 1, ""),
        ("$G models --json | true", 141, ""),
        ("$G --version >&-", 0, ""),
        ("$G interpolate a.png 2>&-", 1, ""),
        ("$G interpolate --help > /dev/full", 1, "error: [Errno 28] No space left on device\n"),
    ],
)
def test_outputs_that_take_nothing(tmp_path: Path, command: str, status: int, said: str) -> None:
    done = shell(command, tmp_path)
    assert (done.returncode, done.stderr) == (status, said)


def test_ctrl_c_while_the_program_is_imported(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "class Impatient:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'cyclopts':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Impatient())\n"
        "from diffusion_geodesics.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (130, "error: stopped\n")
