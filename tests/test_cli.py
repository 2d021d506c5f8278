"""The command line as a person meets it; in a process of its own where that matters."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_geodesics.cli import main
from diffusion_geodesics.cli.options import parse_size
from tests.tiny_pipelines import tiny_pipeline

QUICK = ("--steps", "4", "--level", "0.5", "--frames", "3")


def geodesic(arguments: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "diffusion_geodesics", *map(str, arguments)],
        cwd=folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100", "NO_COLOR": "1"},
        timeout=240,
        check=False,
    )


Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> Say:
    """The command in this process, in `folder`: exit status, standard output, standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setattr(sys, "argv", ["geodesic", *arguments])
        status = 0
        try:
            main()
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model and two pictures."""
    place = tmp_path_factory.mktemp("cli")
    tiny_pipeline(place / "tokenizer").save_pretrained(place / "model")
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        pixels = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 40)).save(place / f"{name}.png")
    return place


def test_two_images_in_a_morph_out(folder: Path, say: Say) -> None:
    ran = geodesic(
        ["interpolate", "a.png", "b.png", "-o", "out", "--model", "model", "--gif", *QUICK], folder
    )
    assert ran.returncode == 0, ran.stderr
    listed = [Path(line) for line in ran.stdout.split()]
    assert [p.name for p in listed] == ["strip.png", "morph.mp4", "report.html", "result.json"]
    assert all(p.is_file() for p in listed)
    assert (folder / "out" / "morph.gif").is_file()
    assert "geodesic" in ran.stderr
    assert "Traceback" not in ran.stderr
    result = json.loads((folder / "out" / "result.json").read_text())
    assert result["settings"]["frames"] == 3
    assert result["model"]["id"] == "model"
    status, _, complaint = say("interpolate", "a.png", "b.png", "-o", "out", "--model", "model")
    assert status == 1
    assert "exists" in complaint


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["missing.png", "b.png"], "does not exist"),
        (["note.txt", "b.png"], "not an image"),
        (["a.png", "a.png", "--model", "model"], "identical"),
        (["a.png", "b.png", "--model", "nothing-here"], "no model 'nothing-here'"),
        (["a.png", "b.png", "--frames", "1"], "frames is 1"),
        (["a.png", "b.png", "--size", "big"], "size is 'big'"),
        (["a.png", "b.png", "--guidance", "3"], "prompt"),
        (["a.png", "b.png", "--score", "ratio"], "prompt"),
        (["a.png", "b.png", "--device", "toaster"], "toaster"),
    ],
)
def test_bad_input_gets_one_line_and_writes_nothing(
    folder: Path, say: Say, arguments: list[str], complaint: str
) -> None:
    (folder / "note.txt").write_text("hello")
    status, told, complained = say("interpolate", *arguments, "-o", "bad/deep")
    assert status == 1
    errors = [line for line in complained.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, complained
    assert complaint in errors[0]
    assert told == ""
    assert not (folder / "bad").exists()


def test_an_option_that_does_not_exist(say: Say) -> None:
    status, _, complained = say("interpolate", "a.png", "b.png", "-o", "out", "--framez", "3")
    assert status == 2
    assert "framez" in complained


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_leaves_nothing_behind(folder: Path) -> None:
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
    process.send_signal(signal.SIGINT)
    process.wait(60)
    process.stderr.close()
    assert process.returncode == 130, seen
    assert not list(folder.glob("*stopped*"))
    assert not list(folder.glob(".diffusion-geodesics-*"))


def test_version_and_help(say: Say) -> None:
    assert say("--version")[1].startswith("geodesic 0.")
    status, told, _ = say("interpolate", "--help")
    assert status == 0
    assert "--strength" in told


def test_sizes() -> None:
    assert parse_size(None) is None
    assert parse_size("512") == 512
    assert parse_size("512x768") == (512, 768)
    assert parse_size("512×768") == (512, 768)
    for wrong in ("", "x", "5x", "a", "1x2x3", "-4"):
        with pytest.raises(ValueError, match="size is"):
            parse_size(wrong)
