"""Kills at random moments: nothing is lost, nothing is there twice, nothing is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.batch.campaign import Campaign


@pytest.mark.whole
def test_a_few_kills(tmp_path: Path) -> None:
    report = Campaign(tmp_path, kills=6, mean=0.8).run()
    assert report.faults == []
    assert sum(report.kills.values()) > 0
    assert json.loads((tmp_path / "report.json").read_text())["kills"] == report.kills


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("engine", ["here", "ray"])
def test_two_hundred_kills(tmp_path: Path, engine: str) -> None:
    """300 interpolations; some minutes on 2 idle cores, and longer on Ray."""
    if engine == "ray":
        pytest.importorskip("ray")
    mean = 3.0 if engine == "here" else 12.0
    report = Campaign(tmp_path, engine, "tiny", 300, kills=200, mean=mean).run()
    assert report.faults == []
    assert sum(report.kills.values()) == 200
