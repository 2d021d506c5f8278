"""Solve the reference problems and the random families, and print what it cost.

python -m benchmarks [--seeds 10] [--write]

Counts and lengths are the same on every run; seconds are not, and nothing depends on them.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

import diffusion_geodesics as dg
from benchmarks.measure import (
    TOLERANCE,
    FamilyRow,
    ReferenceRow,
    family_rows,
    reference_rows,
)

RESULTS = Path(__file__).parent / "results"

REFERENCE_HEAD = (
    "problem", "result", "residual", "length gap", "error bar", "steps", "calls",
    "evaluations", "published", "ratio", "s",
)  # fmt: skip
FAMILY_HEAD = (
    "family", "converged", "evaluations, median", "max", "calls, median", "max",
    "residual, median", "max", "error bar, median", "s",
)  # fmt: skip


def _cells(row: ReferenceRow | FamilyRow) -> tuple[str, ...]:
    name = row.name + (" (strong)" if row.strong else "")
    if isinstance(row, ReferenceRow):
        return (
            name,
            row.result,
            f"{row.residual:.1e}",
            f"{row.relative_gap:+.1e}",
            f"{row.relative_error_bar:.1e}",
            str(row.iterations),
            str(row.calls),
            str(row.score_evals),
            str(row.published_evals),
            f"{row.ratio:.2f}",
            f"{row.seconds:.2f}",
        )
    return (
        name,
        f"{row.converged}/{row.problems}",
        f"{row.median_evals:.0f}",
        str(row.max_evals),
        f"{row.median_calls:.0f}",
        str(row.max_calls),
        f"{row.median_residual:.1e}",
        f"{row.max_residual:.1e}",
        f"{row.median_relative_error_bar:.1e}",
        f"{row.seconds:.1f}",
    )


def _table(title: str, head: Sequence[str], rows: Sequence[ReferenceRow | FamilyRow]) -> Table:
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(head):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=i == 0)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _markdown(head: Sequence[str], rows: Sequence[ReferenceRow | FamilyRow]) -> str:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *map(_cells, rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "src", "benchmarks/*.py")
        return git("rev-parse", "HEAD") + (" and uncommitted changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _write(references: Sequence[ReferenceRow], families: Sequence[FamilyRow], seeds: int) -> None:
    about = {
        "commit": _commit(),
        "version": dg.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "tolerance": TOLERANCE,
        "seeds": seeds,
    }
    RESULTS.mkdir(exist_ok=True)
    data = {
        "about": about,
        "references": [asdict(r) for r in references],
        "families": [asdict(f) for f in families],
    }
    text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / "solver.json").write_text(text, encoding="utf-8")
    page = (
        "# The default solver, measured\n\n"
        f"Made by `python -m benchmarks --write` at commit {about['commit']}, "
        f"torch {about['torch']}, {about['threads']} thread(s). What the columns mean: "
        "[benchmarks](../README.md).\n\n"
        f"## Reference problems\n\n{_markdown(REFERENCE_HEAD, references)}\n\n"
        f"## Random families, {seeds} seeds\n\n{_markdown(FAMILY_HEAD, families)}\n"
    )
    (RESULTS / "solver.md").write_text(page, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10, help="problems of each family (10)")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; expected at least 1")
    torch.set_num_threads(1)
    console = Console(width=None if Console().is_terminal else 160)
    with console.status("solving ..."):
        references = list(reference_rows())
    console.print(_table("Reference problems", REFERENCE_HEAD, references))
    with console.status("solving ..."):
        families = list(family_rows(options.seeds))
    console.print(_table(f"Random families, {options.seeds} seeds", FAMILY_HEAD, families))
    if options.write:
        _write(references, families, options.seeds)
        console.print(f"written: {RESULTS / 'solver.json'}, {RESULTS / 'solver.md'}")


if __name__ == "__main__":
    main()
