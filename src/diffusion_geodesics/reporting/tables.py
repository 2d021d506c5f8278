"""Tables as text: CSV, LaTeX, and numbers with three digits."""

import csv
import io
import math

from diffusion_geodesics.reporting.blocks import Cell, Table, Tone
from diffusion_geodesics.reporting.report import Sheet
from diffusion_geodesics.runtime.jsonable import unicode_text

_LATEX = {c: "\\" + c for c in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "±": r"$\pm$",
    "α": r"$\alpha$",
    "σ": r"$\sigma$",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
}


def number(value: float) -> str:
    """Three significant digits or so, for a table; a dash for what is not finite."""
    if not math.isfinite(value):
        return "–"
    size = abs(value)
    if size >= 10:
        return f"{value:,.0f}" if size >= 100 else f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.095 or size == 0 else f"{value:.2g}"


def interval(low: float, high: float) -> str:
    """An interval in brackets; empty where it is not finite."""
    finite = math.isfinite(low) and math.isfinite(high)
    return f"[{number(low)}, {number(high)}]" if finite else ""


def as_cell(cell: str | Cell) -> Cell:
    """The cell that a text stands for."""
    return cell if isinstance(cell, Cell) else Cell(cell)


def csv_text(sheet: Sheet) -> str:
    """A CSV file's text; numbers that are not finite and None are left empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([unicode_text(name) for name in sheet.head])
    for row in sheet.rows:
        writer.writerow([_csv_value(value) for value in row])
    return text.getvalue()


def _csv_value(value: object) -> object:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    return unicode_text(value) if isinstance(value, str) else value


def latex_table(table: Table, comment: str = "") -> str:
    r"""A ``tabular`` for booktabs: strong and good cells in bold, details in a line below."""
    columns = len(table.head or (table.rows[0] if table.rows else ("",)))
    lines = [f"% {_latex(comment)}"] if comment else []
    lines += [rf"\begin{{tabular}}{{l{('r' if table.numeric else 'l') * (columns - 1)}}}"]
    lines += [r"\toprule"]
    if table.head:
        head = " & ".join(_latex(as_cell(cell).text) for cell in table.head)
        lines += [rf"{head} \\", r"\midrule"]
    for row in table.rows:
        cells = [as_cell(cell) for cell in row]
        lines += [" & ".join(map(_latex_cell, cells)) + r" \\"]
        if any(cell.detail for cell in cells):
            small = [rf"{{\scriptsize {_latex(c.detail)}}}" if c.detail else "" for c in cells]
            lines += [" & ".join(small) + r" \\"]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _latex_cell(cell: Cell) -> str:
    text = _latex(cell.text)
    return rf"\textbf{{{text}}}" if cell.tone in (Tone.STRONG, Tone.GOOD) else text


def _latex(text: str) -> str:
    return "".join(_LATEX.get(c, c) for c in unicode_text(text).replace("\n", " "))
