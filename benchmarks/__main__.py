"""Compare the solvers on problems whose geodesics are known, and print what they cost.

python -m benchmarks [--quick] [--seeds 20] [--only PART ...] [--write]

Counts and lengths are the same on every run; seconds are not, and nothing depends on them.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

import diffusion_geodesics as dg
from benchmarks.families import families, references
from benchmarks.measure import TOLERANCE, reference_rows
from benchmarks.plots import save_plots
from benchmarks.record import commit
from benchmarks.scaling import DIMENSIONS, NODES, NODES_ON, dimensions, nodes
from benchmarks.tables import page, solver_page

RESULTS = Path(__file__).parent / "results"
PARTS = ("solver", "references", "families", "nodes", "dimensions")
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


def _about(seeds: int) -> dict[str, Any]:
    return {
        "commit": commit(*MATHEMATICS),
        "version": dg.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.machine(),
        "threads": torch.get_num_threads(),
        "tolerance": TOLERANCE,
        "seeds": seeds,
    }


def _finite(value: Any) -> Any:
    """The same for JSON, which knows no infinity."""
    if isinstance(value, dict):
        return {k: _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _measure(part: str, seeds: int, quick: bool, told: Callable[[str], None]) -> dict[str, Any]:
    few = 2 if quick else None
    if part == "solver":
        return {"rows": [asdict(r) for r in reference_rows()]}
    if part == "references":
        return references(few, told)
    if part == "families":
        return families(seeds, few, told)
    if part == "nodes":
        return nodes(NODES[1:4] if quick else NODES, NODES_ON[: few or len(NODES_ON)], told)
    return dimensions(DIMENSIONS[: few or len(DIMENSIONS)], 1 if quick else SCALING_SEEDS, told)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few small problems, in a minute")
    parser.add_argument("--seeds", type=int, help=f"problems of each family ({SEEDS})")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure (all)")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}/")
    options = parser.parse_args(arguments)
    seeds = (2 if options.quick else SEEDS) if options.seeds is None else options.seeds
    if seeds < 1:
        parser.error(f"--seeds is {seeds}; expected at least 1")
    if options.quick and options.write:
        parser.error("--write keeps full runs; leave --quick out")
    torch.set_num_threads(1)
    console = Console(width=None if Console().is_terminal else 200)
    measured: dict[str, Any] = {}
    started = time.perf_counter()
    for part in options.only or PARTS:
        about = _about(seeds)
        with console.status(part) as status:
            found = _measure(part, seeds, options.quick, status.update)
        measured[part] = _finite({"about": about, **found})
        text = solver_page(measured[part]) if part == "solver" else page({part: measured[part]})
        console.print(text, markup=False, highlight=False, soft_wrap=True)
        if options.write:
            _write(part, measured[part])
    console.print(f"{time.perf_counter() - started:.0f} s")


def _write(part: str, found: dict[str, Any]) -> None:
    """Put one part among the results, and make the pages and plots anew."""
    RESULTS.mkdir(exist_ok=True)
    name = "solver" if part == "solver" else "bench"
    store = RESULTS / f"{name}.json"
    data = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    data = found if part == "solver" else data | {part: found}
    text = json.dumps(data, indent=None, ensure_ascii=False, allow_nan=False) + "\n"
    store.write_text(text.replace('}, {"', '},\n{"'), encoding="utf-8")
    told = solver_page(data) if part == "solver" else page(data)
    (RESULTS / f"{name}.md").write_text(told, encoding="utf-8")
    if part != "solver":
        save_plots(data, RESULTS / "bench.svg")


if __name__ == "__main__":
    main()
