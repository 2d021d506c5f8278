"""The statistic of real films on one rendered motion."""

from __future__ import annotations

import pytest

from benchmarks.real import rendered, rendered_tables
from diffusion_geodesics import load_model
from training.clips import Motion


@pytest.mark.whole
def test_rendered_clips_at_three_speeds() -> None:
    """The controls are those of films, no noise is taken out at first, and a slow clip's five
    frames are as far as the whole."""
    settings = rendered.SETTINGS.updated(steps=5, refinements=0)
    row = rendered.measure_motion(load_model("embedded"), 0, Motion.LIGHT, 9, settings)
    assert list(row["plain"]) == ["slow", "fast", "jerky"]
    for speeds, least in ((row["plain"], 0.0), (row["noise removed"], 1e-12)):
        assert len({r["noise"] for r in speeds.values()}) == 1
        assert speeds["slow"]["noise"] >= least
        for found in speeds.values():
            assert list(found["deviation"]) == list(rendered_tables.CURVES)
            assert all(0 < d < 1 for c, d in found["deviation"].items() if c != "slerp")
    slow = row["plain"]["slow"]
    assert slow["noise"] == 0
    assert slow["speed"] < row["plain"]["fast"]["speed"]
    assert row["nfe"] > 0
