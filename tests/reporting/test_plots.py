"""What is drawn is what was given."""

from __future__ import annotations

import itertools
import math
import re
import xml.etree.ElementTree as ET

import pytest
import torch

from diffusion_geodesics.reporting.drawing import COLOURS, Drawing
from diffusion_geodesics.reporting.maps import Embedding, HeatMap
from diffusion_geodesics.reporting.plots import (
    Band,
    Interval,
    IntervalPanel,
    IntervalPlot,
    Level,
    LinePlot,
    Mark,
    Panel,
    Trace,
    convergence_plot,
)

SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawing: Drawing, name: str = "plot") -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in drawing.svgs(name)]


def words(element: ET.Element) -> list[str]:
    return [
        text
        for e in element.iter(f"{SVG}text")
        for text in [" ".join("".join(e.itertext()).split())]
    ]


def paths(element: ET.Element, colour: str) -> list[str]:
    """The outlines that are drawn in a colour, legends and markers left out."""
    return [
        e.get("d", "")
        for group in element.iter(f"{SVG}g")
        if group.get("id", "").startswith("line2d")
        for e in group.findall(f"{SVG}path")
        if colour in e.get("style", "") and "clip-path" in str(e.attrib)
    ]


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path)]


def test_a_curve_goes_through_its_values() -> None:
    x, y = [0.0, 1.0, 2.0, 4.0], [1.0, 3.0, 2.0, 5.0]
    (svg,) = parsed(LinePlot([Panel("title", "x", [Trace("a", x, y)])]))
    (path,) = paths(svg, COLOURS[0])
    found = points(path)
    assert len(found) == 4
    # Affine maps of the values, that of y upside down.
    for axis, values in enumerate((x, y)):
        got = [p[axis] for p in found]
        scale = (got[-1] - got[0]) / (values[-1] - values[0])
        assert (scale > 0) == (axis == 0)
        assert [g - got[0] for g in got] == pytest.approx(
            [scale * (v - values[0]) for v in values], abs=1e-4
        )


def test_values_that_are_not_finite_leave_gaps() -> None:
    y = torch.tensor([1.0, 2.0, torch.nan, 2.0, 1.0, torch.inf, 3.0, 4.0])
    (svg,) = parsed(LinePlot([Panel("title", "x", [Trace("a", torch.arange(8.0), y)])]))
    (path,) = paths(svg, COLOURS[0])
    assert path.count("M") == 3


def test_logarithmic_axes_are_logarithmic() -> None:
    y = [1.0, 10.0, 100.0, 1000.0]
    (svg,) = parsed(LinePlot([Panel("title", "x", [Trace("a", range(4), y)], log_y=True)]))
    found = points(paths(svg, COLOURS[0])[0])
    steps = [abs(b[1] - a[1]) for a, b in itertools.pairwise(found)]
    assert steps == pytest.approx([steps[0]] * len(steps), abs=1e-3)
    assert "1000" in words(svg)


def test_a_logarithmic_axis_without_positive_values_stays_linear() -> None:
    (svg,) = parsed(LinePlot([Panel("t", "x", [Trace("a", [0, 1], [0.0, -1.0])], log_y=True)]))
    assert len(points(paths(svg, COLOURS[0])[0])) == 2


def test_everything_has_its_name() -> None:
    panel = Panel(
        "log density, $nats$",
        "seconds",
        [Trace("geodesic", [0, 1], [1, 2]), Trace("_slerp", [0, 1], [2, 1])],
        levels=[Level(1.5, "the start")],
        bands=[Band(1.2, 1.4, "typical")],
        marks=[Mark(0.5, "keyframe 2")],
    )
    (svg,) = parsed(LinePlot([panel]))
    found = words(svg)
    names = ["log density, $nats$", "seconds", "geodesic", "the start", "typical", "keyframe 2"]
    assert set(names) <= set(found)
    assert any(text.endswith("_slerp") for text in found)
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == "log density, $nats$ against seconds"


def test_one_curve_needs_no_legend_and_names_look_alike_in_all_panels() -> None:
    first = Panel("one", "x", [Trace("a", [0, 1], [1, 2]), Trace("b", [0, 1], [2, 1])])
    second = Panel("two", "x", [Trace("b", [0, 1], [2, 1])])
    one, two = parsed(LinePlot([first, second]))
    assert "b" in words(one)
    assert "b" not in words(two)
    assert paths(one, COLOURS[1])
    assert paths(two, COLOURS[1])
    assert not paths(two, COLOURS[0])


def test_a_single_value_can_be_seen() -> None:
    (svg,) = parsed(LinePlot([Panel("t", "x", [Trace("a", [1.0], [2.0])])]))
    assert list(svg.iter(f"{SVG}use"))


def test_limits_and_zero() -> None:
    panel = Panel("t", "x", [Trace("a", [0.2, 0.4], [5, 6])], limits=(0, 1), from_zero=True)
    (svg,) = parsed(LinePlot([panel]))
    found = words(svg)
    assert {"0.0", "1.0", "0", "6"} <= set(found)


def test_convergence_marks_refinements_and_the_tolerance() -> None:
    residual, length = torch.tensor([1.0, 0.1, 0.02, 1e-4]), torch.tensor([5.0, 4.0, 3.9, 3.9])
    one, two = parsed(convergence_plot(residual, length, [8, 8, 16, 16], 1e-3))
    assert {"relative residual", "iteration", "tolerance", "8 → 16 intervals"} <= set(words(one))
    assert {"length", "8 → 16 intervals"} <= set(words(two))
    assert len(points(paths(one, COLOURS[0])[0])) == 4
    assert len(parsed(convergence_plot([1.0, 0.1]))) == 1


def test_intervals() -> None:
    intervals = [
        Interval("clip", 1.0, 0.5, 2.0, strong=True),
        Interval("control", 3.0),
        Interval("nothing", math.nan),
    ]
    (svg,) = parsed(IntervalPlot([IntervalPanel("deviation", intervals, level=Level(1.0, ""))]))
    assert {"clip", "control", "deviation"} <= set(words(svg))
    assert "nothing" not in words(svg)
    lines = [p for p in paths(svg, COLOURS[0]) if len(points(p)) == 2]
    assert len(lines) == 1  # the interval of the clip; the control has none


def test_a_heat_map_writes_its_values_and_leaves_the_diagonal_out() -> None:
    values = torch.tensor([[0, 1.234, torch.nan], [1.234, 0, 3.456], [torch.nan, 3.456, 0]])
    (svg,) = parsed(HeatMap(values, ["a", "b", "c"]))
    found = words(svg)
    assert found.count("1.23") == found.count("3.46") == 2
    assert found.count("a") == 2
    assert "0.00" not in found
    with pytest.raises(ValueError, match="got 2 names for 3 rows"):
        HeatMap(values, ["a", "b"])


def test_a_large_heat_map_has_no_written_values() -> None:
    values = torch.full((20, 20), 3.456)
    (svg,) = parsed(HeatMap(values, [f"n{i}" for i in range(20)]))
    assert "3.46" not in words(svg)
    assert {"n0", "n19"} <= set(words(svg))


def test_an_embedding_shows_every_image() -> None:
    images = [torch.rand(3, 8, 12), torch.rand(4, 30, 20), torch.rand(3, 5, 5)]
    drawing = Embedding(torch.tensor([[0.0, 0.0], [1.0, 0.2], [5.0, 0.1]]), images)
    (svg,) = parsed(drawing)
    assert len(list(svg.iter(f"{SVG}image"))) == 3
    with pytest.raises(ValueError, match="got 1 images for 3 positions"):
        Embedding(torch.zeros(3, 2), images[:1])
    assert parsed(Embedding(torch.zeros(1, 2), images[:1]))


def test_drawings_of_one_page_share_no_identifiers() -> None:
    drawing = LinePlot([Panel("t", "x", [Trace("a", [0, 1], [1, 2])])])
    referred = [
        set(re.findall(r"url\(#([^)]+)\)", drawing.svgs(name)[0])) for name in ("one", "two")
    ]
    assert all(referred)
    assert not referred[0] & referred[1]
    assert drawing.svgs("one") == drawing.svgs("one")


def test_colours_follow_the_page() -> None:
    (svg,) = LinePlot([Panel("t", "x", [Trace("a", [0, 1], [1, 2])])]).svgs("one")
    assert "var(--ink, " in svg
    assert "var(--grid, " in svg
    assert "#1d1d1e" not in svg.replace("var(--ink, #1d1d1e)", "")
    assert "http" not in re.sub(r"xmlns(:\w+)?=\"[^\"]*\"", "", svg)


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(ValueError, match="got no panel"):
        LinePlot([])
    with pytest.raises(ValueError, match="got no panel"):
        IntervalPlot([])
    with pytest.raises(ValueError, match="t: got no curve"):
        Panel("t", "x", [])
    with pytest.raises(ValueError, match="a: got 2 places for 1 values"):
        Trace("a", [1, 2], [1])
