"""What all benchmarks write: tables, files of results, and the commit they were measured at."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion_geodesics.measures import Interval, bootstrap_mean

if TYPE_CHECKING:
    from jinja2 import Template

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Data = dict[str, Any]


def commit(*paths: str) -> str:
    """The commit's hash, and whether what is measured was changed since; "unknown" without git.

    Args:
        paths: what is measured, besides the benchmarks; all of the package by default.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, cwd=ROOT
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", *(paths or ("src",)), "benchmarks/*.py")
        return git("rev-parse", "HEAD") + (" and uncommitted changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def fingerprint(paths: Sequence[str], root: Path = ROOT) -> str:
    """Of all Python files below some paths."""
    digest = hashlib.sha256()
    for path in paths:
        for file in sorted((root / path).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def template(file: Path) -> Template:
    """A page's template; a name that it lacks is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(file.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    ).get_template(file.name)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """A Markdown table; the first columns, of words, to the left and the others to the right."""
    rule = ["---"] * words + ["---:"] * (len(head) - words)
    cells = ([c.replace("|", "\\|") for c in row] for row in rows)
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *cells))


def shown(found: Interval, digits: int = 3) -> str:
    """A mean with its 95% interval; a dash for no value."""
    if not found.count:
        return "–"
    if not math.isfinite(found.low):
        return f"{found.mean:.{digits}g}"
    return f"{found.mean:.{digits}g} [{found.low:.{digits}g}, {found.high:.{digits}g}]"


def mean(values: Sequence[float]) -> str:
    """The mean of some values with its 95% bootstrap interval."""
    return shown(bootstrap_mean(values))


def as_data(found: Interval) -> Data:
    """An interval for JSON; nothing where there is no value, None for an interval of one value."""
    if not found.count:
        return {}

    def rounded(value: float) -> float | None:
        return float(f"{value:.5g}") if math.isfinite(value) else None

    return {
        "mean": rounded(found.mean),
        "low": rounded(found.low),
        "high": rounded(found.high),
        "count": found.count,
    }


def write_json(file: Path, data: Data | list[Data], indent: int | None = 1) -> None:
    """Data as JSON, which knows no infinity."""
    file.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(data, indent=indent, ensure_ascii=False, allow_nan=False, default=str)
    file.write_text(text + "\n", encoding="utf-8")


def write_page(folder: Path | None, name: str, head: str, page: str, data: Any = None) -> None:
    """Print a page of Markdown; write it, and its data as JSON, if a folder is given."""
    print(page)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(f"# {head}\n\n{page}\n", encoding="utf-8")
        if data is not None:
            write_json(folder / f"{name}.json", data)


def read_rows(file: Path | None) -> list[Data]:
    """Rows that a run that was stopped has left, one a line."""
    if file is None or not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def add_row(file: Path | None, row: Data) -> None:
    """Keep a row for a later run."""
    if file is not None:
        with file.open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(row) + "\n")
