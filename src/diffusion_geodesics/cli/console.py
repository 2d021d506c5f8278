"""Progress bars, tables and notes on the terminal. Text of users is never taken for markup."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from diffusion_geodesics.runtime.paths import printable
from diffusion_geodesics.runtime.run import Event
from diffusion_geodesics.runtime.stages import STAGES

if TYPE_CHECKING:
    from pathlib import Path

    from diffusion_geodesics.runtime.diagnostic import Diagnostic


class ProgressBars:
    """One bar a stage on the error stream; a context manager that is called with events."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
        )

        self._progress = Progress(
            TextColumn("{task.description:<26}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[detail]}", style="dim", markup=False),
            console=Console(stderr=True, highlight=False),
        )
        self._tasks: dict[str, object] = {}

    def __enter__(self) -> ProgressBars:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if event.stage not in self._tasks:
            self._tasks[event.stage] = self._progress.add_task(
                STAGES.get(event.stage, event.stage), total=None, detail=""
            )
        figures = ", ".join(f"{name} {value:.3g}" for name, value in event.figures.items())
        detail = printable(", ".join(filter(None, (event.detail, figures))))
        self._progress.update(
            self._tasks[event.stage],  # type: ignore[arg-type]
            completed=event.done,
            total=event.total or None,
            detail=detail,
        )


def say(*lines: str) -> None:
    """Lines on the error stream, as they are."""
    for line in lines:
        print(printable(line), file=sys.stderr)


def say_notes(warnings: Iterable[Diagnostic]) -> None:
    """What must be known about a result."""
    for warning in warnings:
        say(f"note: {warning}")


def say_files(folder: Path, names: Sequence[str]) -> None:
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
