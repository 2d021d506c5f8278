"""The table of a comparison in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from diffusion_geodesics.report.evidence import Line


def score_table(methods: Sequence[str], lines: Sequence[Line]) -> Table:
    """Means, a row a quantity; the best in bold. Intervals are in the report."""
    table = Table(show_header=True, header_style="bold", box=None, pad_edge=False)
    table.add_column("", justify="left", no_wrap=True)
    for method in methods:
        table.add_column(method, justify="right", vertical="bottom")
    for line in lines:
        cells = [f"[bold green]{c.text}[/]" if c.best else c.text for c in line.cells]
        table.add_row(f"{line.name} {line.arrow}", *cells)
    return table
