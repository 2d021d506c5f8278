"""The jobs for exploring: each gives the report of its command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from diffusion_geodesics.models import load_model
from diffusion_geodesics.web.explorations import (
    EXPLORATIONS,
    PAST,
    PROMPT,
    RANDOM,
    TOWARDS,
    exploration_work,
)

KINDS = {kind.part: kind for kind in EXPLORATIONS}
SMALL: dict[str, dict[str, Any]] = {
    "distances": {"steps": 4, "level": 0.5},
    "density": {"steps": 4, "level": 0.5, "probes": 3},
    "extrapolation": {"steps": 4, "level": 0.5, "frames": 3},
    "clip": {"steps": 4, "level": 0.5, "window": 5},
}


def inputs(folder: Path, count: int = 2, **more: Any) -> dict[str, Any]:
    pictures = [str(folder / f"{name}.png") for name in "abc"[:count]]
    return {"pictures": pictures, "direction": PAST, "towards": "", **more}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "more", "title"),
    [
        ("distances", {}, "Geodesic distances"),
        ("density", {}, "Densities of images"),
        *(
            ("extrapolation", {"direction": d, "towards": "a"}, "A density ray")
            for d in (PAST, TOWARDS, PROMPT, RANDOM)
        ),
        ("clip", {}, "clip.gif against geodesics"),
    ],
)
def test_a_report_of_the_command(
    part: str, more: dict[str, Any], title: str, folder: Path, tmp_path: Path
) -> None:
    frames = [Image.open(folder / f"{name}.png") for name in "abcab"]
    frames[0].save(tmp_path / "clip.gif", save_all=True, append_images=frames[1:])
    given = inputs(folder, clip=str(tmp_path / "clip.gif"), **more)
    compute = KINDS[part].prepare(given)
    settings = KINDS[part].settings.of(**SMALL[part])
    stages: list[str] = []
    work = exploration_work(compute, settings, tmp_path)
    made = work(load_model(folder / "model"), lambda event: stages.append(event.stage))
    assert title in made.page
    assert {Path(f).name for f in made.files} >= {"report.html", "everything.zip"}
    assert all(Path(file).stat().st_size > 0 for file in made.files)
    assert "write" in stages


def test_what_is_missing_is_said(folder: Path) -> None:
    cases: tuple[tuple[str, dict[str, Any], str], ...] = (
        ("distances", {"count": 1}, "a distance matrix takes 2 to 12 pictures; got 1"),
        ("density", {"count": 0}, "a density takes 1 to 12 pictures; got 0"),
        (
            "extrapolation",
            {"count": 1},
            "a ray past the second picture takes 2 to 12",
        ),
        ("extrapolation", {"direction": PROMPT}, "Got no prompt to go towards"),
        ("clip", {"clip": None}, "Got no clip"),
    )
    for part, more, words in cases:
        with pytest.raises(ValueError, match=words):
            KINDS[part].prepare(inputs(folder, **more))
