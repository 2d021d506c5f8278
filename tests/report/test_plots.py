"""Plots: valid SVG that can be put into any page, made without touching global settings."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest
import torch

from diffusion_geodesics.report import (
    Convergence,
    Curve,
    convergence_plot,
    density_plot,
    typicality_plot,
)
from tests.report.sample import sample_run

RUN = sample_run(n=3, height=8, width=8)
T = torch.linspace(0, 1, 5)


def plots() -> list[str]:
    assert RUN.convergence is not None
    return [
        density_plot(RUN.curves, RUN.reference),
        typicality_plot(RUN.curves, RUN.typical),
        convergence_plot(RUN.convergence),
    ]


def test_plots_are_svg_elements_that_follow_the_page() -> None:
    for svg in plots():
        assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(--ink, #1d1d1e)" in svg
        assert "<image" not in svg


def test_plots_are_reproducible_and_leave_settings_alone() -> None:
    before = dict(mpl.rcParams)
    assert plots() == plots()
    assert dict(mpl.rcParams) == before


def test_ids_of_two_plots_on_one_page_do_not_clash() -> None:
    def clips(svg: str) -> set[str]:
        tag = "{http://www.w3.org/2000/svg}clipPath"
        return {element.attrib["id"] for element in ET.fromstring(svg).iter(tag)}

    first, second, third = map(clips, plots())
    assert not first & second
    assert not second & third
    assert not first & third


@pytest.mark.parametrize(
    "name", ["a $\\frac{", "--><script>alert(1)</script>", "_hidden", "測試 ü"]
)
@pytest.mark.filterwarnings("ignore:Glyph .* missing from font:UserWarning")
def test_any_name_can_be_drawn(name: str) -> None:
    svg = density_plot([Curve(name, T, log_density=T)], name)
    ET.fromstring(svg)
    assert "<script" not in svg


def test_numbers_that_are_not_finite_leave_gaps() -> None:
    values = torch.tensor([0.0, torch.inf, torch.nan, 1.0, 2.0])
    ET.fromstring(density_plot([Curve("path", T, values, values, values)], "x"))
    ET.fromstring(typicality_plot([Curve("path", T, values, values, values)]))
    ET.fromstring(convergence_plot(Convergence(residual=values)))


def test_a_solver_that_stopped_at_once_can_be_drawn() -> None:
    ET.fromstring(convergence_plot(Convergence(residual=torch.tensor([1e-9]), tolerance=1e-3)))


def test_there_must_be_something_to_draw() -> None:
    with pytest.raises(ValueError, match="no curve"):
        density_plot([], "x")
    with pytest.raises(ValueError, match="no curve has a norm"):
        typicality_plot([Curve("path", T, log_density=T)])
