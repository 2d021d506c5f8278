"""Progress bars, tables and notes on the terminal. Text of users is never taken for markup."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_geodesics.runtime.cost import CostBreakdown
from diffusion_geodesics.runtime.paths import printable
from diffusion_geodesics.runtime.run import STAGES, Event

if TYPE_CHECKING:
    from rich.progress import TaskID

    from diffusion_geodesics.runtime.diagnostic import Diagnostic


class ProgressBars:
    """One bar a stage on the error stream; a context manager that is called with events."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        self._progress = progress.Progress(
            progress.TextColumn("{task.description:<26}", markup=False),
            progress.BarColumn(bar_width=24),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=Console(stderr=True, highlight=False),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> ProgressBars:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        name = event.stage
        if name not in self._tasks:
            text = STAGES.get(name, name)
            self._tasks[name] = self._progress.add_task(text, total=None, detail="")
        figures = ", ".join(f"{figure} {value:.3g}" for figure, value in event.figures.items())
        detail = printable(", ".join(filter(None, (event.detail, figures))))
        at = {"completed": event.done, "total": event.total or None}
        self._progress.update(self._tasks[name], detail=detail, **at)


def say(*lines: str) -> None:
    """Lines on the error stream, as they are."""
    for line in lines:
        print(printable(line), file=sys.stderr)


def cost_line(costs: CostBreakdown) -> str:
    """What a run cost, in words."""
    return f"{costs.total.nfe} network evaluations in {costs.total.seconds:.1f} s"


def say_notes(warnings: Iterable[Diagnostic | str]) -> None:
    """What must be known about a result."""
    for warning in warnings:
        say(f"note: {warning}")


def say_files(folder: Path, *names: str) -> None:
    """Files that were written, on the output stream, one a line."""
    for name in names:
        if (folder / name).exists():
            print(printable(str(folder / name)))


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, error: bool = True) -> None:
    """A table, the first column to the left, the others to the right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(head):
        shown.add_column(Text(name), justify="left" if i == 0 else "right", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    stream = sys.stderr if error else sys.stdout
    width = None if stream.isatty() else 160
    Console(file=stream, highlight=False, width=width).print(shown)
