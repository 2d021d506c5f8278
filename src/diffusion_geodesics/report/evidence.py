"""The folder and the page of a comparison: tables, LaTeX, CSV, and strips side by side."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, final

from diffusion_geodesics.images import save_png
from diffusion_geodesics.report.data import Film
from diffusion_geodesics.report.folder import PROGRAM, staged_folder
from diffusion_geodesics.report.jsonable import to_json
from diffusion_geodesics.report.page import data_uri, flat_settings, render_page
from diffusion_geodesics.report.strip import StripLayout, compare_strip
from diffusion_geodesics.report.write import Written

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN_PAIRS = 24
"""Most pairs whose strips are on the page; all of them are in the folder."""


@final
@dataclass(frozen=True)
class Cell:
    """A mean with its interval.

    Arguments:
        mean: NaN where there is none.
        low, high: 95% interval; NaN for a single pair.
        best: whether it is the best of its quantity.
        count: values it is the mean of.
    """

    mean: float
    low: float = math.nan
    high: float = math.nan
    best: bool = False
    count: int = 0

    @property
    def text(self) -> str:
        """The mean with three or four digits; a dash where there is none."""
        return number(self.mean)

    @property
    def interval(self) -> str:
        """The interval in brackets; empty where there is none."""
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            return ""
        return f"[{number(self.low)}, {number(self.high)}]"


@final
@dataclass(frozen=True)
class Line:
    """A quantity, and what every method has of it.

    Arguments:
        name: of the quantity.
        arrow: "↑" where higher is better, "↓" for lower, else empty.
        about, deceives: what it is, and what it rewards wrongly.
        cells: by method, in the order of the methods.
        wins: share of pairs won against the rival, by method; None where nothing ranks.
    """

    name: str
    arrow: str
    about: str
    deceives: str
    cells: Sequence[Cell]
    wins: Sequence[Cell | None]


@final
@dataclass(frozen=True, eq=False)
class ShownPair:
    """The strips of one pair, and the value of every quantity by method."""

    name: str
    disagreement: float
    films: Sequence[Film]
    notes: Sequence[tuple[str, str]]
    scores: Mapping[str, Mapping[str, float]]


@final
@dataclass(frozen=True, eq=False)
class EvidenceReport:
    """Everything there is to tell about a comparison.

    Arguments:
        title, status: heading, and a sentence below it.
        methods: names, in order.
        rival: whom win rates are against; empty without them.
        lines: the table.
        pairs: those first on which methods differ most.
        skipped: (measure, reason, remedy).
        settings, versions: for the record.
        result: contents of result.json.
        warnings: what to know before the figures are believed.
    """

    title: str
    status: str
    methods: Sequence[str]
    rival: str
    lines: Sequence[Line]
    pairs: Sequence[ShownPair]
    skipped: Sequence[tuple[str, str, str]]
    result: Mapping[str, object]
    settings: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: Sequence[str] = ()


def number(value: float) -> str:
    """Three significant digits or so, for a table; a dash for what is not finite."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.095 or size == 0 else f"{value:.2g}"


def write_evidence(
    folder: str | Path, report: EvidenceReport, *, overwrite: bool = False
) -> Written:
    """Write one folder: all of it, or nothing.

    - `report.html`: everything on one page that needs no other file
    - `table.tex`, `table.csv`: the table; `pairs.csv`: every value of every pair
    - `frames/METHOD/PAIR/000.png` ...: the frames that were measured
    - `result.json`: `report.result`, with `program` and the list of `files`

    Raises:
        FileExistsError, NotADirectoryError, ValueError: as `check_folder`.
    """
    to_json(report.result)
    with staged_folder(folder, overwrite=overwrite) as staging:
        texts = {
            "report.html": render_evidence(report),
            "table.tex": latex_table(report),
            "table.csv": table_csv(report),
            "pairs.csv": pairs_csv(report),
        }
        frames: list[str] = []
        for pair in report.pairs:
            for film in pair.films:
                at = Path("frames", safe(film.name), safe(pair.name))
                (staging / at).mkdir(parents=True, exist_ok=True)
                for i, frame in enumerate(film.frames):
                    save_png(staging / at / f"{i:03d}.png", frame)
                    frames.append((at / f"{i:03d}.png").as_posix())
        files = sorted({*texts, *frames, "result.json"})
        texts["result.json"] = to_json({**report.result, "program": PROGRAM, "files": files})
        for name, text in texts.items():
            (staging / name).write_text(text, encoding="utf-8")
    return Written(Path(folder).expanduser().resolve(), tuple(files))


def safe(name: str) -> str:
    """A name that is safe as that of a folder."""
    return "".join(c if c.isalnum() or c in "+-_." else "-" for c in name).strip("-.") or "unnamed"


def table_csv(report: EvidenceReport) -> str:
    """One line a method and quantity, with interval and win rate."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        ["method", "quantity", "better", "mean", "low", "high", "pairs", "wins", "low", "high"]
    )
    better = {"↑": "higher", "↓": "lower", "": ""}
    for i, method in enumerate(report.methods):
        for line in report.lines:
            cell, won = line.cells[i], line.wins[i] or Cell(math.nan)
            values = (cell.mean, cell.low, cell.high, won.mean, won.low, won.high)
            shown = [f"{v:.8g}" if math.isfinite(v) else "" for v in values]
            rows.writerow(
                [method, line.name, better[line.arrow], *shown[:3], cell.count, *shown[3:]]
            )
    return text.getvalue()


def pairs_csv(report: EvidenceReport) -> str:
    """One line a pair, method and quantity."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["pair", "method", "quantity", "value"])
    for pair in sorted(report.pairs, key=lambda p: p.name):
        for method, scores in pair.scores.items():
            for quantity, value in scores.items():
                if math.isfinite(value):
                    rows.writerow([pair.name, method, quantity, f"{value:.8g}"])
    return text.getvalue()


def latex_table(report: EvidenceReport) -> str:
    r"""A `tabular` for booktabs, a row a quantity: means, the best in bold, intervals below."""
    arrows = {"↑": r" $\uparrow$", "↓": r" $\downarrow$", "": ""}
    head = " & ".join(["", *map(_latex, report.methods)])
    body = []
    for line in report.lines:
        means = [_bold(c.text) if c.best else _latex(c.text) for c in line.cells]
        body.append(_latex(line.name) + arrows[line.arrow] + " & " + " & ".join(means) + r" \\")
        if any(c.interval for c in line.cells):
            small = [r"{\scriptsize " + _latex(c.interval) + "}" for c in line.cells]
            body.append(" & " + " & ".join(small) + r" \\")
    lines = "\n".join(body)
    return (
        f"% {_latex(report.status)}\n"
        f"\\begin{{tabular}}{{l{'r' * len(report.methods)}}}\n\\toprule\n"
        f"{head} \\\\\n\\midrule\n{lines}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _bold(text: str) -> str:
    return r"\textbf{" + _latex(text) + "}"


def _latex(text: str) -> str:
    special = {c: "\\" + c for c in "&%$#_{}"} | {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "±": r"$\pm$",
        "α": r"$\alpha$",
    }
    return "".join(special.get(c, c) for c in text)


def render_evidence(report: EvidenceReport) -> str:
    """The page as HTML text, everything inside and all text escaped."""
    layout = StripLayout(frame_height=112, text=15, gap=4, margin=14, radius=4)
    shown = [
        (pair, _jpeg(compare_strip(pair.films, layout)))
        for pair in list(report.pairs)[:SHOWN_PAIRS]
    ]
    return render_page(
        "evidence.html.j2",
        report=report,
        shown=shown,
        settings=list(flat_settings(report.settings)),
        ranked=[line for line in report.lines if any(line.wins)],
    )


def _jpeg(image: Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=88, subsampling=0)
    return data_uri(buffer.getvalue(), "image/jpeg")
