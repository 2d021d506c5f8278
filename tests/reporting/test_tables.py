"""Numbers, CSV and LaTeX as text."""

from __future__ import annotations

import math

import pytest

from diffusion_geodesics.reporting.blocks import Cell, Table, Tone
from diffusion_geodesics.reporting.report import Sheet, file_name
from diffusion_geodesics.reporting.tables import csv_text, interval, latex_table, number


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12345.6, "12,346"),
        (123.4, "123"),
        (12.34, "12.3"),
        (1.234, "1.23"),
        (0.1234, "0.12"),
        (0.01234, "0.012"),
        (1.2e-7, "1.2e-07"),
        (0.0, "0.00"),
        (-3.456, "-3.46"),
        (math.nan, "–"),
        (math.inf, "–"),
    ],
)
def test_numbers_have_three_digits_or_so(value: float, text: str) -> None:
    assert number(value) == text


def test_intervals() -> None:
    assert interval(0.5, 12.0) == "[0.50, 12.0]"
    assert interval(math.nan, 1.0) == ""


def test_latex_is_escaped_and_marks_the_best() -> None:
    table = Table(
        ["", "a_b & 50%", "σ ↑"],
        [["x#1", Cell("1.5", "[1, 2]", Tone.STRONG), "2"], [r"\cmd{}", "–", Cell("3 ± 1")]],
    )
    assert latex_table(table, "100% of it") == (
        "% 100\\% of it\n"
        "\\begin{tabular}{lrr}\n"
        "\\toprule\n"
        " & a\\_b \\& 50\\% & $\\sigma$ $\\uparrow$ \\\\\n"
        "\\midrule\n"
        "x\\#1 & \\textbf{1.5} & 2 \\\\\n"
        " & {\\scriptsize [1, 2]} &  \\\\\n"
        "\\textbackslash{}cmd\\{\\} & -- & 3 $\\pm$ 1 \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_csv_leaves_what_is_not_finite_empty() -> None:
    sheet = Sheet(["a", "b"], [[1, math.nan], ["x,y", None], [0.1, "ü"]])
    assert csv_text(sheet) == 'a,b\n1,\n"x,y",\n0.1,ü\n'


def test_rows_have_one_length() -> None:
    with pytest.raises(ValueError, match=r"rows of \[1, 2\] cells"):
        Table(["a", "b"], [["x"]])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a/b c", "a-b-c"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("warp+fade", "warp+fade"),
        ("é漢", "é漢"),
        ("../x", "x"),
        ("\ud800", "unnamed"),
    ],
)
def test_names_of_files_from_any_text(text: str, name: str) -> None:
    assert file_name(text) == name
