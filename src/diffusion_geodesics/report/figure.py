"""The looks that all plots share, and figures as SVG text.

Every plot takes its ink and grid colours from CSS variables `--ink` and `--grid` where the page
defines them, so one SVG serves light and dark pages; alone it is dark on a transparent ground.
"""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# After Okabe and Ito: told apart with any colour vision. In order of use; line styles differ too.
COLOURS = ("#0a84d6", "#e08a00", "#00a077", "#cc5f9f", "#8a6fd1", "#b0a000")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
# Stand-ins which are replaced by CSS variables once the SVG is written.
INK, GRID = "#1d1d1e", "#d8d8dd"


@contextmanager
def project_figure(title: str, panels: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure and its panels, side by side; the project's looks hold while it is drawn."""
    import matplotlib
    from matplotlib.figure import Figure

    looks: dict[Any, Any] = {
        "axes.edgecolor": GRID,
        "axes.grid": True,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": INK,
        "axes.titlesize": 10,
        "axes.titleweight": "regular",
        "axes.unicode_minus": True,
        "font.family": ["DejaVu Sans"],
        "font.size": 9,
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.labelcolor": INK,
        "lines.linewidth": 1.8,
        "svg.fonttype": "path",
        "svg.hashsalt": title,
        "text.color": INK,
        "text.parse_math": False,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with matplotlib.rc_context(looks):
        figure = Figure(figsize=(7.6, 3.2), layout="constrained")
        yield figure, list(figure.subplots(1, panels, squeeze=False)[0])


def to_svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element whose neutral colours follow the page."""
    buffer = io.StringIO()
    metadata = {"Title": title, "Date": None, "Creator": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=metadata)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return text.replace(INK, f"var(--ink, {INK})").replace(GRID, f"var(--grid, {GRID})")


def line_look(i: int, name: str) -> dict[str, Any]:
    """Colour, style and weight of the i-th path; the first is drawn above the others."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": STYLES[i % len(STYLES)],
        "linewidth": 2.4 if i == 0 else 1.6,
        "zorder": 3 if i == 0 else 2,
        "label": f"\u200b{name}" if name.startswith("_") else name,
    }
