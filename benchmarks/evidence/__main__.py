"""The evidence: every claim of the docs, measured, and the page that tells it.

python -m benchmarks.evidence [--quick] [--only rendered|digits] [--page]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.commit import commit
from benchmarks.evidence.density import Weighing, weigh_all
from benchmarks.evidence.figures import save_figures, save_strips
from benchmarks.evidence.page import IMAGES, PAGE, page
from benchmarks.evidence.plan import MAIN, density_pairs, plan
from benchmarks.evidence.results import about, seconds, studies_of, table_of
from benchmarks.evidence.work import KEPT, MODEL, fingerprint, jobs_of, work
from diffusion_geodesics.cli.methods import read_method

RESULTS = Path(__file__).parents[1] / "results" / "evidence"
PARTS = ("rendered", "digits")

Data = dict[str, Any]


def rendered(quick: bool, processes: int) -> Data:
    """Every study on rendered pairs."""
    started, folder, studies = time.perf_counter(), KEPT / fingerprint(), plan(quick)
    work(jobs_of(studies, folder), processes, lambda told: print(told, flush=True))
    main = studies[0]
    weighed = [Weighing(case, main, folder) for case in density_pairs(quick)]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=_alone) as pool:
        densities = weigh_all(weighed, pool)
    told: list[Data] = []
    tables = {study.name: table_of(folder, study) for study in studies}
    for study in studies:
        told += studies_of(study, tables[study.name])
    print(f"rendered pairs: {time.perf_counter() - started:.0f} s", flush=True)
    save_strips(folder, main, IMAGES / "evidence-strips.png")
    settings = main.settings.as_dict()
    return {
        "commit": commit(),
        "quick": quick,
        "model": MODEL,
        "ours": read_method(MAIN[-1]).name,
        "settings": settings,
        "seconds": {s.name: round(seconds(folder, s)) for s in studies}
        | {"densities": round(sum(p["seconds"] for p in densities["pairs"]))},
        "quantities": about(tables["level 0.4"].quantities),
        "studies": told,
        "densities": densities,
    }


def _alone() -> None:
    torch.set_num_threads(1)


def digits(quick: bool) -> Data | None:
    """MNIST with a user's own model, where its benchmark is there."""
    try:
        from benchmarks.digits import run
    except ImportError:
        print("benchmarks.digits is not there; its section is left out", flush=True)
        return None
    return run(8 if quick else 200, quick)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write results, figures and page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a pair or two of each kind")
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--page", action="store_true", help="the page alone, from kept results")
    parser.add_argument("--processes", type=int, default=2, help="one core each")
    o = parser.parse_args(arguments)
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    if not o.page and o.only != "digits":
        write("rendered", rendered(o.quick, o.processes))
    if not o.page and o.only != "rendered" and (found := digits(o.quick)) is not None:
        write("digits", found)
    data = {part: read(part) for part in PARTS}
    if data["rendered"] is None:
        parser.error("there are no results yet; run without --page")
    save_figures(data["rendered"], IMAGES)
    PAGE.write_text(page(data["rendered"], data["digits"]), encoding="utf-8")
    print(f"written: {PAGE}")


def read(part: str) -> Data | None:
    """Kept results; None where there are none."""
    file = RESULTS / f"{part}.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def write(part: str, data: Data) -> None:
    """Keep results."""
    text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    (RESULTS / f"{part}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
