"""The command line as a process: start-up, encodings, signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = ("torch", "scipy", "numpy", "diffusers", "transformers", "PIL", "av", "matplotlib")
"""Packages that help and complaints must not wait for."""

QUICK = ("--steps", "4", "--level", "0.5", "--frames", "3", "--size", "64", "--film-only")


def run(
    *arguments: str | bytes, cwd: Path, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "diffusion_geodesics", *arguments],
        cwd=cwd,
        capture_output=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", **environment},
        timeout=300,
        check=False,
    )


LIGHT = (
    "--version",
    "--help",
    "interpolate --help",
    "compare --help",
    "interpolate missing.png b.png -o out",
    "interpolate a.png b.png -o out --framez 3",
    "interpolate a.png b.png -o out --level 7",
    "analyze missing.mp4 -o out",
    "distance -o out",
)
"""Commands that only help or complain."""


@pytest.mark.whole
def test_help_and_complaints_import_nothing_heavy(folder: Path) -> None:
    """One process for all: the first to import something is named."""
    program = f"""
import sys
from diffusion_geodesics.cli.main import main
for command in {LIGHT!r}:
    sys.argv, status = ["geodesic", *command.split()], 0
    try:
        main()
    except SystemExit as stopped:
        status = stopped.code
    print("\\nENDED", command, status, *(set({HEAVY!r}) & set(sys.modules)))
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    ended = [line for line in ran.stdout.splitlines() if line.startswith("ENDED")]
    statuses = (0, 0, 0, 0, 1, 2, 1, 1, 1)
    assert ended == [f"ENDED {c} {status}" for c, status in zip(LIGHT, statuses, strict=True)]


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = "import sys, diffusion_geodesics\nprint(*(set(sys.argv[1:]) & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", program, *HEAVY], capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == []


def test_any_encoding_of_the_output_will_do(folder: Path) -> None:
    """That of the environment, and others that the same process is given."""
    program = """
import sys
from diffusion_geodesics.cli.main import main
sys.argv = ["geodesic", "interpolate", "--help"]
for encoding in ("cp1252", "ascii", "latin-1", "cp932"):
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding=encoding, errors="strict")
    main()
    print("ENDED", flush=True)
"""
    shown = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.count(b"--strength") == shown.stdout.count(b"ENDED") == 4


@pytest.mark.whole
def test_a_file_name_that_is_no_text(folder: Path, tmp_path: Path) -> None:
    """Under a C locale, which has no UTF-8."""
    name = b"caf\xe9.png"
    (tmp_path / os.fsdecode(name)).write_bytes((folder / "a.png").read_bytes())
    command = ["interpolate", name, str(folder / "b.png"), "-o", "out", "--path", "slerp"]
    ran = run(*command, *QUICK, cwd=tmp_path, LC_ALL="POSIX")
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "out" / "report.html").is_file()
    assert rb"caf\\xe9.png" in (tmp_path / "out" / "result.json").read_bytes()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind(folder: Path, number: signal.Signals) -> None:
    command = "interpolate a.png b.png -o stopped --model model --steps 900 --level 1".split()
    process = subprocess.Popen(
        [sys.executable, "-m", "diffusion_geodesics", *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "NO_COLOR": "1", "FORCE_COLOR": "1"},
    )
    assert process.stderr is not None
    os.set_blocking(process.stderr.fileno(), False)
    seen, deadline = b"", time.monotonic() + 180
    while b"Inverting" not in seen and time.monotonic() < deadline:
        assert process.poll() is None, seen
        time.sleep(0.2)
        seen += process.stderr.read() or b""
    process.send_signal(number)
    process.wait(60)
    os.set_blocking(process.stderr.fileno(), True)
    seen += process.stderr.read()
    process.stderr.close()
    assert process.returncode == 128 + number, seen
    assert b"error: stopped" in seen
    assert b"Traceback" not in seen
    assert not list(folder.glob("*stopped*"))
    assert not list(folder.glob(".*geodesic*"))
