"""The example of solids: they are what they say, and it runs."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.examples.running import load, run

pytestmark = pytest.mark.whole

solids, shapes = load("solids"), load("shapes")


def test_factors_change_a_solid_as_they_say() -> None:
    factors = torch.zeros(4, 6)
    factors[0, 2], factors[1, 2] = -1, 1  # knob
    factors[2, 0], factors[3, 0] = -1, 1  # roundness
    inside = (solids.solid(factors) < 0).flatten(1).sum(1)
    assert inside[1] > inside[0]
    assert inside[2] > inside[3]  # a block holds more than the ellipsoid in it
    ellipsoid = 4 / 3 * math.pi * 0.52 * 0.36 * 0.6 * ((solids.SIDE - 1) / 2) ** 3
    assert ellipsoid < float(inside[3]) < 1.35 * ellipsoid  # it, and a knob


def test_bend_is_mirrored_by_its_sign() -> None:
    factors = torch.zeros(2, 6)
    factors[0, 3], factors[1, 3] = 0.8, -0.8
    bent = solids.solid(factors)
    torch.testing.assert_close(bent[0], bent[1].flip(1), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(bent[0], bent[1], atol=0.1)


def test_overlap() -> None:
    true = solids.solid(torch.zeros(2, 6))[None].repeat(3, 1, 1, 1, 1, 1)
    assert shapes.overlap(true, true).tolist() == [1, 1]
    assert shapes.overlap(torch.ones_like(true), true).tolist() == [0, 0]


def test_a_picture_shows_the_outline() -> None:
    """A ball of radius 0.5 in a view 2.2 wide: its area, and light from above."""
    ball = solids.PLACES.norm(dim=-1)[None] - 0.5
    seen = solids.picture(ball, 100)
    covered = (seen != 255).any(-1)
    assert covered.mean() == pytest.approx(math.pi * 0.25 / 2.2**2, rel=0.05)
    rows = covered.nonzero()[0]
    upper, lower = seen[rows.min() + 4, 50], seen[rows.max() - 4, 50]
    assert int(upper.sum()) > int(lower.sum()) + 50


@pytest.mark.usefixtures("unchecked_types")  # as its readers run it
@pytest.mark.filterwarnings("ignore:The inverted latents")  # of a network hardly trained
def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "shapes"
    run("shapes", ["-o", str(out), "--quick"], monkeypatch)
    files = {"strip.webp", "film.webp", "table.md", "figures.json", "between.npz"}
    assert {p.name for p in out.iterdir()} == files
    with Image.open(out / "film.webp") as film:
        assert getattr(film, "n_frames", 1) == 32
        assert film.size == (480, 120)
    shown = np.load(out / "between.npz")
    for end in (0, -1):
        np.testing.assert_allclose(shown["geodesic"][end], shown["lerp"][end], atol=1e-4)
        np.testing.assert_allclose(shown["blend"][end], shown["truth"][end], atol=1e-5)
    values = json.loads((out / "figures.json").read_text())["values"]
    assert len(values) == 2
    assert all(0.5 < v <= 1 for of in values.values() for path in of.values() for v in path)
    assert len((out / "table.md").read_text().splitlines()) == 2 + 4 + 3
