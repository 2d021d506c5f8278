"""How soon the program is there: CPU seconds of its commands, of the import, and of the model.

Every measurement is a process of its own, its user and system time together; the first of each,
which may compile byte code, is not counted.

    python -m benchmarks.startup --runs 9 --write benchmarks/results
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import cyclopts

from benchmarks.record import ROOT, commit, table, write_page
from diffusion_geodesics.cli.main import COMMANDS

MODULE = ("-m", "diffusion_geodesics")
IMPORT = "import diffusion_geodesics"
LOAD = "from diffusion_geodesics import load_model; model = load_model('embedded')"
HEAD = ("what", "CPU seconds, median", "least", "most")


def commands() -> dict[str, tuple[str, ...]]:
    """What is run, by its name in the table: arguments of the interpreter."""
    missing = ("nothing-here.png", "nothing-there.png", "-o", "never-made")
    helps = {f"geodesic {name} --help": (*MODULE, name, "--help") for name in COMMANDS}
    return {
        "an empty program": ("-c", "pass"),
        IMPORT: ("-c", IMPORT),
        "geodesic --help": (*MODULE, "--help"),
        "geodesic --version": (*MODULE, "--version"),
        "complaint about a missing file": (*MODULE, "interpolate", *missing),
        "complaint about a wrong option": (*MODULE, "interpolate", "--framez", "3"),
        **helps,
        "load of the embedded model": ("-c", LOAD),
        "the same, with an empty prompt": ("-c", f"{LOAD}; model.encode_prompt('')"),
        "the same, with a prompt": ("-c", f"{LOAD}; model.encode_prompt('a portrait')"),
    }


def cpu_seconds(arguments: tuple[str, ...], folder: Path) -> float:
    """User and system time of one process, started in a folder."""
    before = os.times()
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        check=False,
    )
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def measure(runs: int, names: tuple[str, ...] = ()) -> list[list[str]]:
    """A row of the table for everything, or for what is named.

    Raises:
        ValueError: fewer than one run.
    """
    if runs < 1:
        raise ValueError(f"got {runs} runs; expected at least 1")
    rows = []
    with TemporaryDirectory() as folder:
        for name, arguments in commands().items():
            if not names or name in names:
                found = [cpu_seconds(arguments, Path(folder)) for _ in range(runs + 1)][1:]
                values = (statistics.median(found), min(found), max(found))
                rows.append([name, *(f"{v:.2f}" for v in values)])
                print(rows[-1], flush=True)
    return rows


def main(*, runs: int = 5, write: Path | None = None) -> None:
    """Measure how soon the program is there.

    Args:
        runs: of everything.
        write: folder for startup.md and startup.json.
    """
    rows = measure(runs)
    head = (
        "Start-up, measured\n\n"
        f"Made by `python -m benchmarks.startup` at commit {commit('src')}: CPU seconds, user and "
        f"system, of {runs} runs each, Python {platform.python_version()} on {platform.machine()}."
    )
    data = [dict(zip(HEAD, row, strict=True)) for row in rows]
    write_page(write, "startup", head, table(HEAD, rows), data)


if __name__ == "__main__":
    cyclopts.run(main)
