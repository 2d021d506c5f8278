"""``geodesic batch``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from diffusion_geodesics.batch.manifest import read_manifest
from tests.cli.conftest import Geodesic

QUICK = ("--path", "slerp", "--frames", "3", "--steps", "5", "--film-only", "--no-report")
RUN = (*QUICK, "--size", "32", "--workers", "1", "-o", "out")


@pytest.mark.whole
def test_a_batch_from_beginning_to_end(geodesic: Geodesic, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(
        f"a,b,name\n{folder}/a.png,{folder}/b.png,[ab]\n{folder}/b.png,{folder}/none.png,gone\n"
    )
    command = ("batch", "pairs.csv", *RUN)
    said = geodesic(*command, cwd=tmp_path)
    assert said.status == 1
    assert "1 of 2 pairs done, 1 failed" in said.err
    assert f"failed: gone: {folder}/none.png does not exist" in said.err
    assert [Path(line).name for line in said.out.splitlines()] == [
        "table.csv",
        "summary.json",
        "index.html",
    ]
    other = geodesic(*command, "--level", "0.5", cwd=tmp_path)
    assert other.status == 1
    assert "holds another batch: settings.inversion.level was 0.4 and is 0.5" in other.error
    collected = geodesic("batch", "out", "--collect", cwd=tmp_path)
    assert (collected.status, collected.out) == (0, said.out)
    assert b"[ab]," in (tmp_path / "out" / "table.csv").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("x.csv", "-o", "out"), "x.csv does not exist"),
        (("x.csv",), "got no folder for the output"),
        (("x.csv", "-o", "out", "--job", "analyze"), "the job is 'analyze'; expected one of inter"),
        (("x.csv", "-o", "out", "--shard", "4/3"), "shard is '4/3'; it should be I/N with I"),
        (("x.csv", "-o", "out", "--shard", "half"), "should be I/N"),
        (("x.csv", "-o", "out", "--address", "auto"), "address has no effect"),
        (("x.csv", "-o", "out", "--collect"), "give the folder of one batch"),
        (("a", "--collect"), "a holds no batch"),
    ],
)
def test_what_is_wrong_is_said_before_any_work(
    geodesic: Geodesic, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    found = geodesic("batch", *arguments, cwd=tmp_path)
    assert found.status == 1
    assert said in found.error
    assert not (tmp_path / "out").exists()


def test_each_job_has_its_own_options(geodesic: Geodesic, tmp_path: Path) -> None:
    helps = {
        job: geodesic("batch", "--job", job, "--help", cwd=tmp_path).out
        for job in ("interpolate", "distance", "compare", "extrapolate")
    }
    assert "--spacing" in helps["interpolate"]
    assert "--reference" in helps["distance"]
    assert "--method" in helps["compare"]
    assert "--towards" in helps["extrapolate"]
    assert all("--retries" in text and "--pairs-per-batch" in text for text in helps.values())


def test_a_batch_of_distances_is_of_the_density(
    geodesic: Geodesic, folder: Path, tmp_path: Path
) -> None:
    images = [folder / f"{name}.png" for name in "ab"]
    options = ("--all-pairs", "--job", "distance", "--metric", "latent", "-o", "out")
    said = geodesic("batch", *images, *options, cwd=tmp_path)
    assert "measures distances of the density only" in said.error
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_settings_of_a_run_can_be_taken_for_a_batch(
    geodesic: Geodesic, folder: Path, tmp_path: Path
) -> None:
    """The settings.toml of a run names its job, its model and its settings."""
    (tmp_path / "settings.toml").write_text(
        'job = "interpolate"\npath = "slerp"\ncompare = false\n'
        f'[film]\nframes = 3\n[inversion]\nsteps = 5\n[model]\nmodel = "{folder}/model"\n'
    )
    images = [folder / f"{name}.png" for name in "ab"]
    options = ("--config", "settings.toml", "--steps", "4", "--no-report", "--workers", "1")
    said = geodesic("batch", *images, "--all-pairs", *options, "-o", "out", cwd=tmp_path)
    assert said.status == 0, said.err
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert manifest.header["settings"]["inversion"]["steps"] == 4
    assert manifest.header["settings"]["film"]["frames"] == 3
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["done"] == 1


@pytest.mark.whole
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_batch_leaves_a_clean_folder(
    folder: Path, tmp_path: Path, signum: signal.Signals
) -> None:
    """Ctrl-C goes to the workers as well, which leave it to the driver."""
    images = [folder / f"{name}.png" for name in "abc"]
    command = [sys.executable, "-m", "diffusion_geodesics", "batch", *images, "--all-pairs"]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    process = subprocess.Popen(
        [*command, "--steps", "900", "--workers", "1", "-o", tmp_path / "out"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    limit = time.monotonic() + 300
    while not list((tmp_path / "out").glob("claims/*.1")) and time.monotonic() < limit:
        time.sleep(0.1)
    os.killpg(process.pid, signum)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 128 + signum, said
    assert "error: stopped" in said
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["manifest.jsonl"]
