"""The command line as a person meets it, in processes of its own.

Starting one takes longer than a run, so that all bad input goes to one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diffusion_geodesics.cli.options import parse_size
from tests.tiny_pipelines import tiny_pipeline

QUICK = ("--steps", "4", "--level", "0.5", "--frames", "3")


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


WRONG: dict[str, list[str]] = {
    "does not exist": ["missing.png", "b.png"],
    "not an image": ["note.txt", "b.png"],
    "identical": ["a.png", "a.png", "--model", "model"],
    "no model 'nothing-here'": ["a.png", "b.png", "--model", "nothing-here"],
    "frames is 1": ["a.png", "b.png", "--frames", "1"],
    "size is 'big'": ["a.png", "b.png", "--size", "big"],
    "guidance is 3 but there is no prompt": ["a.png", "b.png", "--guidance", "3"],
    "give a prompt": ["a.png", "b.png", "--score", "ratio"],
    "toaster": ["a.png", "b.png", "--device", "toaster"],
    "random estimate": ["a.png", "b.png", "--prompt", "a", "--score", "published-random"],
    "exists; choose": ["a.png", "b.png", "-o", "model"],
}
"""Words of a complaint, and what it is about."""

PROGRAM = """
import contextlib, io, json, sys
from diffusion_geodesics.cli import main
told = []
for arguments in json.load(sys.stdin):
    sys.argv = ["geodesic", *arguments]
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as stopped:
            status = stopped.code or 0
    told.append((status, out.getvalue(), err.getvalue()))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def said(folder: Path) -> list[tuple[int, str, str]]:
    """Status, output and errors of every bad input, and of a few commands more."""
    (folder / "note.txt").write_text("hello")
    commands = [["interpolate", "-o", "bad/deep", *arguments] for arguments in WRONG.values()]
    commands.append(["interpolate", "a.png", "b.png", "-o", "out", "--framez", "3"])
    commands += [["--version"], ["interpolate", "--help"]]
    morph = ["interpolate", "a.png", "b.png", "-o", "out", "--model", "model", "--gif", *QUICK]
    commands += [morph, morph]
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(commands),
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "100", "NO_COLOR": "1"},
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


@pytest.mark.parametrize("complaint", WRONG)
def test_bad_input_gets_one_line_and_writes_nothing(
    folder: Path, said: list[tuple[int, str, str]], complaint: str
) -> None:
    status, told, complained = said[list(WRONG).index(complaint)]
    assert status == 1
    errors = [line for line in complained.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, complained
    assert complaint in errors[0]
    assert told == ""
    assert not (folder / "bad").exists()


def test_an_option_that_does_not_exist(said: list[tuple[int, str, str]]) -> None:
    status, _, complained = said[len(WRONG)]
    assert status == 2
    assert "framez" in complained


def test_version_and_help(said: list[tuple[int, str, str]]) -> None:
    assert said[len(WRONG) + 1][1].startswith("geodesic 0.")
    status, told, _ = said[len(WRONG) + 2]
    assert status == 0
    assert "--strength" in told


@pytest.mark.slow
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


def test_two_images_in_a_morph_out(folder: Path, said: list[tuple[int, str, str]]) -> None:
    status, told, complained = said[len(WRONG) + 3]
    assert status == 0, complained
    listed = [folder / line for line in told.split()]
    assert [p.name for p in listed] == ["strip.png", "morph.mp4", "report.html", "result.json"]
    assert all(p.is_file() for p in listed)
    assert (folder / "out" / "morph.gif").is_file()
    assert "geodesic" in complained
    assert "Traceback" not in complained
    result = json.loads((folder / "out" / "result.json").read_text())
    assert result["settings"]["frames"] == 3
    assert result["model"]["id"] == "model"
    status, _, complained = said[len(WRONG) + 4]
    assert status == 1
    assert "out exists" in complained


def test_sizes() -> None:
    assert parse_size(None) is None
    assert parse_size("512") == 512
    assert parse_size("512x768") == (512, 768)
    assert parse_size("512×768") == (512, 768)
    for wrong in ("", "x", "5x", "a", "1x2x3", "-4"):
        with pytest.raises(ValueError, match="size is"):
            parse_size(wrong)
