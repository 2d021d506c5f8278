"""The evidence: every claim of the docs, measured, and the page that tells it.

python -m benchmarks.evidence [--quick] [--pairs N] [--only rendered|digits] [--page]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch

from benchmarks.commit import commit
from benchmarks.evidence.claims import reading
from benchmarks.evidence.density import Weighing, weigh_all
from benchmarks.evidence.figures import save_figures, save_strips
from benchmarks.evidence.page import IMAGES, PAGE, page
from benchmarks.evidence.plan import DENSITY_LEVEL, OURS, PAIRS, plan
from benchmarks.evidence.results import about, seconds, studies_of, table_of
from benchmarks.evidence.work import KEPT, MODEL, alone, fingerprint, jobs_of, work
from diffusion_geodesics.cli.methods import read_method

RESULTS = Path(__file__).parents[1] / "results" / "evidence"
PARTS = ("rendered", "digits")
DIGITS = 80
"""Pairs of digits, half of them of one class."""

Data = dict[str, Any]


def rendered(quick: bool, pairs: int, processes: int, images: Path) -> Data:
    """Every study on rendered pairs."""
    started, folder, studies = time.perf_counter(), KEPT / fingerprint(), plan(quick, pairs)
    work(jobs_of(studies, folder), processes, lambda told: print(told, flush=True))
    main = studies[0]
    placed = next(s for s in studies if s.name == f"level {DENSITY_LEVEL:g}")
    weighed = [Weighing(case, placed, folder) for case in placed.cases()]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn, initializer=alone) as pool:
        densities = weigh_all(weighed, pool)
    told: list[Data] = []
    tables = {study.name: table_of(folder, study) for study in studies}
    for study in studies:
        told += studies_of(study, tables[study.name])
    print(f"rendered pairs: {time.perf_counter() - started:.0f} s", flush=True)
    save_strips(folder, main, images / "evidence-strips.png")
    settings = main.settings.as_dict()
    data: Data = {
        "commit": commit(),
        "quick": quick,
        "short": pairs if pairs < PAIRS else None,
        "model": MODEL,
        "ours": read_method(OURS).name,
        "settings": settings,
        "seconds": {s.name: round(seconds(folder, s)) for s in studies}
        | {"densities": round(sum(p["seconds"] for p in densities["pairs"]))},
        "quantities": about(tables["level 0.4"].quantities),
        "studies": told,
        "densities": densities,
    }
    return data | {"reading": reading(data)}


def digits(quick: bool) -> Data | None:
    """MNIST with a user's own model, where its benchmark is there."""
    try:
        from benchmarks.digits import run
    except ImportError:
        print("benchmarks.digits is not there; its section is left out", flush=True)
        return None
    try:
        return run(8 if quick else DIGITS, quick)
    except SystemExit as missing:
        print(f"{missing}; the section on digits is left out, or kept as it was", flush=True)
        return None


@final
@dataclass(frozen=True)
class Place:
    """Where results, page and figures are.

    A quick run has a place of its own, so that it never takes that of a full one.
    """

    results: Path
    page: Path
    images: Path

    @staticmethod
    def of(quick: bool) -> Place:
        """The docs' own, or one among the runs."""
        if not quick:
            return Place(RESULTS, PAGE, IMAGES)
        folder = KEPT / "quick"
        return Place(folder, folder / "evidence.md", folder / "images")

    def read(self, part: str) -> Data | None:
        """Kept results; None where there are none."""
        file = self.results / f"{part}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

    def write(self, part: str, data: Data) -> None:
        """Keep results."""
        self.results.mkdir(parents=True, exist_ok=True)
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        (self.results / f"{part}.json").write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write results, figures and page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few pairs, into runs/")
    parser.add_argument(
        "--pairs",
        type=int,
        default=PAIRS,
        help="of each kind in the main study; fewer elsewhere too",
    )
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--page", action="store_true", help="the page alone, from kept results")
    parser.add_argument("--processes", type=int, default=2, help="one core each")
    o = parser.parse_args(arguments)
    if not 1 <= o.pairs <= PAIRS:
        parser.error(f"got --pairs {o.pairs}; expected 1 to {PAIRS}")
    torch.set_num_threads(1)
    place = Place.of(o.quick)
    if not o.page and o.only != "digits":
        place.write("rendered", rendered(o.quick, o.pairs, o.processes, place.images))
    if not o.page and o.only != "rendered" and (found := digits(o.quick)) is not None:
        place.write("digits", found)
    data = place.read("rendered")
    if data is None:
        parser.error("there are no results of rendered pairs yet; run without --page")
    save_figures(data, place.images)
    place.page.write_text(page(data, place.read("digits")), encoding="utf-8")
    print(f"written: {place.page}")


if __name__ == "__main__":
    main()
