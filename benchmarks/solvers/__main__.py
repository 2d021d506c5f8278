"""Compare the solvers on problems whose geodesics are known, and print what they cost.

python -m benchmarks.solvers [--quick] [--seeds 20] [--only PART ...] [--write]

Counts and lengths are the same on every run; seconds are not, and nothing depends on them.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from enum import Enum
from typing import Annotated, Any

import cyclopts
import torch
from rich.console import Console

import diffusion_geodesics as dg
from benchmarks.record import RESULTS, Data, commit
from benchmarks.solvers.families import PAPER, families, paper_families, references
from benchmarks.solvers.scaling import DIMENSIONS, dimensions
from benchmarks.solvers.tables import page

SEEDS = 20
SCALING_SEEDS = 2
MATHEMATICS = tuple(
    f"src/diffusion_geodesics/{name}"
    for name in (
        "bvp",
        "density.py",
        "geodesics.py",
        "ivp",
        "length.py",
        "manifold.py",
        "metric",
        "path.py",
    )
)
"""What the figures depend on."""


class Part(Enum):
    """Of the benchmark."""

    REFERENCES = "references"
    FAMILIES = "families"
    DIMENSIONS = "dimensions"


def _about(seeds: int) -> Data:
    return {
        "commit": commit(*MATHEMATICS),
        "version": dg.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "seeds": seeds,
    }


def _finite(value: Any) -> Any:
    """The same for JSON, which knows no infinity."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _measure(part: Part, seeds: int, quick: bool, tell: Callable[[str], None]) -> Data:
    few = 2 if quick else None
    match part:
        case Part.REFERENCES:
            return references(few, tell)
        case Part.FAMILIES:
            return families(seeds, few, tell)
        case Part.DIMENSIONS:
            return dimensions(DIMENSIONS[:few], 1 if quick else SCALING_SEEDS, tell)


def main(
    *,
    quick: bool = False,
    seeds: int | None = None,
    only: Annotated[tuple[Part, ...], cyclopts.Parameter(consume_multiple=True)] = tuple(Part),
    published: bool = False,
    family: Annotated[tuple[str, ...], cyclopts.Parameter(consume_multiple=True)] = (),
    write: bool = False,
) -> None:
    """Run the benchmark.

    Args:
        quick: a few small problems, in a minute.
        seeds: problems of each family; 20, or 2 if quick.
        only: parts to measure.
        published: measure the paper's algorithm alone, on reference problems and families; the
            other rows stay as they were.
        family: names of the families that it is measured on; all by default.
        write: put what is measured among the committed results.
    """
    seeds = (2 if quick else SEEDS) if seeds is None else seeds
    if seeds < 1:
        raise SystemExit(f"seeds is {seeds}; expected at least 1")
    if quick and write:
        raise SystemExit("the committed results are of full runs; leave --quick or --write out")
    torch.set_num_threads(1)
    if published:
        only = tuple(part for part in only if part is not Part.DIMENSIONS)
    console = Console(width=None if Console().is_terminal else 200)
    started = time.perf_counter()
    for part in only:
        with console.status(part.value) as status:
            if published and part is Part.FAMILIES:
                measured = paper_families(seeds, family, status.update)
            elif published:
                measured = references(2 if quick else None, status.update, PAPER)
            else:
                measured = _measure(part, seeds, quick, status.update)
            found = _finite({"about": _about(seeds), **measured})
        if write:
            _write(part, found, some=published)
        if not published or part is Part.REFERENCES:
            console.print(page({part.value: found}), markup=False, soft_wrap=True)
    console.print(f"{time.perf_counter() - started:.0f} s")


def _write(part: Part, found: Data, *, some: bool) -> None:
    """Put one part, or some of its rows, among the results, and make the page anew."""
    file = RESULTS / "bench.json"
    data = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    data |= {part.value: _replaced(data[part.value], found) if some else found}
    text = json.dumps(data, ensure_ascii=False, allow_nan=False) + "\n"
    file.write_text(text.replace('}, {"', '},\n{"'), encoding="utf-8")
    file.with_suffix(".md").write_text(page(data), encoding="utf-8")


def _replaced(old: Data, found: Data) -> Data:
    """A part with the rows of the paper's algorithm measured anew, family by family."""
    new: dict[str, list[Data]] = {}
    for row in found["rows"]:
        new.setdefault(row["family"], []).append(row)
    rows: list[Data] = []
    for row in old["rows"]:
        own = new.get(row["family"])
        if own is None or not row["solver"].startswith("published"):
            rows.append(row)
        else:  # all of the family's, in the place of its first
            rows += own
            own.clear()
    about = {**old["about"], "published": found["about"]["commit"]}
    return {**old, "about": about, "rows": rows}


if __name__ == "__main__":
    cyclopts.run(main)
