"""The command line, run in this process."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_geodesics.cli.main import main
from tests.tiny_pipelines import tiny_pipeline


@dataclass(frozen=True)
class Said:
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line that begins with "error: "."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0]


Geodesic = Callable[..., Said]
"""Runs a command: its arguments, and the folder to run it in."""


@pytest.fixture
def geodesic(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Geodesic:
    """The command line in this process."""

    def run(*arguments: str | Path, cwd: Path) -> Said:
        monkeypatch.chdir(cwd)
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setattr(sys, "argv", ["geodesic", *map(str, arguments)])
        capsys.readouterr()
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = stopped.code if isinstance(stopped.code, int) else 0
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Said(status, printed.out, printed.err)

    return run


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """The handlers of signals that were there before; child processes can be interrupted even where
    a shell has started the tests in the background, which ignores interrupts."""
    known = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in known.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model and four pictures, to read from."""
    place = tmp_path_factory.mktemp("cli")
    tiny_pipeline(place / "tokenizer").save_pretrained(place / "model")
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c", "d"):
        pixels = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 40)).save(place / f"{name}.png")
    (place / "note.txt").write_text("hello")
    return place
