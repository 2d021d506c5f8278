"""What a plot is: figures as SVG text, in looks that all plots share.

Ink and grid take their colours from the CSS variables ``--ink`` and ``--grid`` where a page defines
them, so that one SVG serves light and dark pages; alone it is dark on a transparent ground.
"""

from __future__ import annotations

import io
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from diffusion_geodesics.runtime.jsonable import unicode_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

COLOURS = ("#0a84d6", "#e08a00", "#00a077", "#cc5f9f", "#8a6fd1", "#b0a000")
"""After Okabe and Ito (2008): told apart with any colour vision. Line styles differ as well."""
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
INK, GRID = "#1d1d1e", "#d8d8dd"
"""Stand-ins, as in plots.mplstyle, which become CSS variables once the SVG is written."""
FONTS = "system-ui, 'DejaVu Sans', sans-serif"
PANEL = (4.4, 2.7)
"""Width and height of a panel in inches: two beside each other on a page, one on a phone."""


class Drawing(ABC):
    """Something that can be drawn as one or several SVG pictures."""

    narrowest: ClassVar[int] = 300  # least width in CSS pixels at which a picture can be read

    @abstractmethod
    def svgs(self, name: str) -> tuple[str, ...]:
        """The pictures as SVG elements, whose identifiers begin with a name that no other has."""


@contextmanager
def axes(width: float, height: float, name: str) -> Iterator[tuple[Figure, Axes]]:
    """A figure with one pair of axes; the project's looks hold while it is drawn."""
    from matplotlib import style
    from matplotlib.figure import Figure

    looks = [Path(__file__).parent / "templates" / "plots.mplstyle", {"svg.hashsalt": name}]
    with style.context(looks), warnings.catch_warnings():
        # The font that measures the text may lack a glyph which the browser's has.
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        # Labels that leave no room for the axes.
        warnings.filterwarnings("ignore", "constrained_layout not applied")
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def to_svg(figure: Figure, title: str) -> str:
    """The figure as an SVG element, named for screen readers, with colours that follow the page."""
    from markupsafe import escape

    buffer, plain = io.StringIO(), {"Date": None, "Creator": None}
    figure.savefig(buffer, format="svg", transparent=True, metadata=plain)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = text.replace(INK, f"var(--ink, {INK})").replace(GRID, f"var(--grid, {GRID})")
    text = re.sub(r"'DejaVu Sans'(, [^;\"]*)?", FONTS, text)
    return text.replace("<svg", f'<svg role="img" aria-label="{escape(short(title, 200))}"', 1)


def line_look(i: int, name: str) -> dict[str, Any]:
    """Colour, style and weight of the i-th line; the first is drawn above the others."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "linestyle": STYLES[i % len(STYLES)],
        "linewidth": 2.4 if i == 0 else 1.6,
        "zorder": 3 if i == 0 else 2,
        "label": f"\u200b{short(name)}" if name.startswith("_") else short(name),
    }


def short(text: str, most: int = 32) -> str:
    """Text for a plot, with its middle left out if it is longer than a number of characters."""
    plain = " ".join(shown(text).split())
    if len(plain) <= most:
        return plain
    kept = most - 1
    return f"{plain[: kept - kept // 2]}…{plain[-(kept // 2) :]}"


def shown(text: str) -> str:
    """Text that XML can hold: no lone surrogates, and no control characters."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]", "\ufffd", unicode_text(text))


def label_logarithmic(axis: Axis, ratio: float) -> None:
    """Write powers of ten, and within two decades 2 and 5 times them as well."""
    from matplotlib.ticker import LogLocator

    if ratio < 100:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")
