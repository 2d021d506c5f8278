"""The export that docs/batch.md shows: a part of a large batch as one tar archive."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from itertools import groupby
from pathlib import Path

import pytest

from tests.docs.pages import ROOT


@pytest.mark.skipif(sys.platform != "linux", reason="GNU find and tar")
def test_a_part_becomes_one_archive_in_the_order_of_its_keys(tmp_path: Path) -> None:
    blocks = (ROOT / "docs" / "batch.md").read_text().split("```sh\n")[1:]
    (block,) = (text.split("```")[0] for text in blocks if "tar -C" in text)
    lines = [line for line in block.splitlines() if not line.startswith(("geodesic", "part="))]
    for key in ("b1", "a0"):
        (tmp_path / "part-0007" / "pairs" / key / "frames").mkdir(parents=True)
        for name in ("frames/000.png", "frames/001.png", "result.json"):
            (tmp_path / "part-0007" / "pairs" / key / name).write_text(f"{key}/{name}")
    environment = {**os.environ, "SCRATCH": str(tmp_path), "part": "part-0007"}
    subprocess.run(["bash", "-ec", "\n".join(lines)], env=environment, check=True)
    with tarfile.open(tmp_path / "part-0007.tar") as archive:
        found = {m.name: archive.extractfile(m).read().decode() for m in archive}  # type: ignore
    samples = {key: [n.partition(".")[2] for n in names]
               for key, names in groupby(found, lambda name: name.partition(".")[0])}  # fmt: skip
    assert list(samples) == ["a0", "b1"]
    assert samples["a0"] == ["000.png", "001.png", "result.json"]
    assert found["b1.001.png"] == "b1/frames/001.png"
