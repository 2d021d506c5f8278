"""The report of an analysis from invented data: whole, self-contained, and escaped."""

from __future__ import annotations

import csv
import json
import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch

from diffusion_geodesics.report import Fact, Film, StageCost
from diffusion_geodesics.report.analysis_data import (
    AnalysisReport,
    Bar,
    Comparison,
    Panel,
    Section,
    Statement,
    Table,
    Trace,
)
from diffusion_geodesics.report.analysis_page import write_analysis
from diffusion_geodesics.report.analysis_plots import comparison_plot, panels_plot

PANEL = Panel("residual", "s", (Trace("clip", [0, 1, 2], [1.0, math.nan, 3.0]),), logarithmic=True)
BARS = Comparison(
    "length", (Bar("clip", 2.0, 1.5, 2.5), Bar("lerp", 1.0, math.nan, math.nan)), True
)


def report(title: str = "a clip", banner: tuple[str, ...] = ()) -> AnalysisReport:
    frames = torch.linspace(0, 1, 4)[:, None, None, None].expand(4, 3, 16, 16)
    films = tuple(Film(name, frames, torch.linspace(0, 1, 4)) for name in ("clip", "geodesic"))
    section = Section(
        title, "frames 0 to 3", "; ".join(banner), (Fact("A", "1"),), ((PANEL, PANEL),), films
    )
    bare = Section("no film", "nothing decoded", "", (), ((PANEL, PANEL),), ())
    return AnalysisReport(
        title=title,
        status="4 frames",
        banner=banner,
        warnings=("beware",),
        facts=(Fact("Deviation", "0.5"),),
        statements=(
            Statement("dense", "yes", "holds here", True),
            Statement("near", "no", "the opposite here", False),
            Statement("slow", "?", "not decided here", None),
        ),
        comparisons=(BARS,),
        units="2 windows",
        table=Table(("clip", "frames"), ((title, "4"),)),
        sections=(section, bare),
        result={"value": 1.0, "bad": math.nan},
        sheets={"frames.csv": (("clip", "step"), [[title, 0.5], [title, ""]])},
        cost=(StageCost("invert", 10, 2, 0.5),),
        settings={"reading": {"stride": 1}},
        versions={"python": "3"},
    )


def test_the_folder_is_whole_and_the_page_needs_no_other_file(tmp_path: Path) -> None:
    written = write_analysis(tmp_path / "out", report(banner=("foreign",)))
    assert set(written.files) == {"report.html", "result.json", "frames.csv", "strips/000.png"}
    result = json.loads((written.folder / "result.json").read_text())
    assert result["bad"] is None
    assert result["files"] == list(written.files)
    with (written.folder / "frames.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["clip", "step"], ["a clip", "0.5"], ["a clip", ""]]
    page = (written.folder / "report.html").read_text()
    assert "Out of the model" in page
    assert page.count("<svg") == 3
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith(("data:", "#")) for source in sources)
    with pytest.raises(FileExistsError):
        write_analysis(tmp_path / "out", report())
    write_analysis(tmp_path / "out", report(), overwrite=True)
    assert "Out of the model" not in (written.folder / "report.html").read_text()


def test_names_are_escaped(tmp_path: Path) -> None:
    written = write_analysis(tmp_path / "out", report("<script>alert(1)</script>"))
    assert "<script" not in (written.folder / "report.html").read_text()


def test_plots_are_svg_with_ids_of_their_own() -> None:
    first, second = (panels_plot(name, [PANEL, PANEL]) for name in ("one", "two"))
    for svg in (first, second, comparison_plot("controls", [BARS, BARS])):
        assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    clips = [
        {e.attrib["id"] for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}clipPath")}
        for svg in (first, second)
    ]
    assert not clips[0] & clips[1]


def test_there_must_be_something_to_draw() -> None:
    with pytest.raises(ValueError, match="no panel"):
        panels_plot("x", [])
    with pytest.raises(ValueError, match="nothing to compare"):
        comparison_plot("x", [])
    with pytest.raises(ValueError, match="2 places for 1"):
        Trace("x", [0, 1], [1])
