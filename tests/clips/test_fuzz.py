"""Damaged files of every format: nothing but the two errors comes out, in bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.fuzzing import CODECS, attack, clip_seeds, picture_seeds, read_clip, read_picture

QUICK = 250
SLOW = 50_000
SLICES = 2


@pytest.fixture(scope="module")
def seeds() -> tuple[dict[str, bytes], dict[str, bytes]]:
    return picture_seeds(), clip_seeds()


def test_the_whole_files_can_be_read(
    tmp_path: Path, seeds: tuple[dict[str, bytes], dict[str, bytes]]
) -> None:
    pictures, clips = seeds
    assert len(pictures) >= 38
    assert len(clips) == len(CODECS)
    for name, data in {**pictures, **clips}.items():
        (tmp_path / name).write_bytes(data)
        if name in clips or name.startswith("several"):
            read_clip(tmp_path / name)
        elif name != "pages.tiff":
            read_picture(tmp_path / name)


@pytest.mark.parametrize("kind", [0, 1], ids=["pictures", "clips"])
def test_damaged_files_are_read_or_refused(
    tmp_path: Path, seeds: tuple[dict[str, bytes], dict[str, bytes]], kind: int
) -> None:
    outcome = attack(tmp_path, seeds[kind], QUICK, seed=0)
    assert outcome.failures == []
    assert sum(outcome.read.values()) > QUICK // 10
    assert sum(outcome.refused.values()) > QUICK // 10


@pytest.mark.slow
def test_very_many_damaged_files_in_less_than_a_gigabyte() -> None:
    def run(seed: int) -> dict[str, object]:
        command = [sys.executable, "-m", "tests.fuzzing", "--files", str(SLOW), "--seed", str(seed)]
        path = os.pathsep.join(filter(None, ["src", ".", os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr[-2000:]  # no crash of a decoder either
        return json.loads(done.stdout.splitlines()[-1])

    with ThreadPoolExecutor(SLICES) as pool:
        for outcome in pool.map(run, range(1, SLICES + 1)):
            assert outcome["failures"] == []
            assert int(str(outcome["peak_mb"])) < 1000
            assert float(str(outcome["slowest_s"])) < 60.0
