"""The evidence: every claim of the docs, measured, and the page that presents it.

python -m benchmarks.evidence [--quick] [--pairs N] [--only rendered|digits] [--page]
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import final

import cyclopts
import torch

from benchmarks.evidence import digits
from benchmarks.evidence.claims import reading
from benchmarks.evidence.density import Weighing, weigh_all
from benchmarks.evidence.figures import save_figures, save_sheet, save_strips
from benchmarks.evidence.methods import TRUTH
from benchmarks.evidence.numbers import AGAINST
from benchmarks.evidence.page import IMAGES, PAGE
from benchmarks.evidence.page import page as page_of
from benchmarks.evidence.plan import DENSITY_LEVEL, OURS, PAIRS, Study, plan
from benchmarks.evidence.results import Table, about, studies_of, table_of
from benchmarks.evidence.work import (
    KEPT,
    MODEL,
    jobs_of,
    kept_folder,
    processes,
    result_of,
    seconds,
    work,
)
from benchmarks.record import RESULTS, Data, commit, write_json
from diffusion_geodesics.cli.methods import read_method
from diffusion_geodesics.interpolation.settings import InterpolationSolve
from diffusion_geodesics.runtime.settings import flattened

PLACE = RESULTS / "evidence"
STRIPS = ("turn-000", "hair-000", "expression-000", "all-000")
"""Pairs whose frames are shown, beside those on which the default does worst."""
SHOWN = 10
"""Pairs of each kind that are shown from the worst on."""


class Part(Enum):
    """Of the evidence."""

    RENDERED = "rendered"
    DIGITS = "digits"


def rendered(studies: list[Study], pool_size: int, images: Path) -> Data:
    """Every study on rendered pairs."""
    folder, main = kept_folder(), studies[0]
    placed = next(s for s in studies if s.name == f"level {DENSITY_LEVEL:g}")
    with processes(pool_size) as pool:
        work(jobs_of(studies, folder), pool)
        densities = weigh_all([Weighing(c, placed, folder) for c in placed.cases()], pool)
    tables = {study.name: table_of(folder, study) for study in studies}
    ours = read_method(OURS).name
    ranked = from_worst(tables[main.name], ours)
    failures = [own[0] for own in ranked.values()]
    known = {case.name: case for case in main.cases()}
    for kind, own in ranked.items():
        shown = [result_of(folder, main, known[name]).pairs[0] for name in own[:SHOWN]]
        save_sheet(shown, (TRUTH, ours), images / f"evidence-{kind}.webp")
    for names, file in ((STRIPS, "evidence-strips.png"), (failures, "evidence-worst.webp")):
        cases = [c for c in main.cases() if c.name in names]
        strips = [result_of(folder, main, case).pairs[0] for case in cases]
        save_strips([(p, list(p.outcomes)) for p in strips], images / file)
    data: Data = {
        "commit": commit(),
        "model": MODEL,
        "ours": ours,
        "settings": settings_of(main),
        "seconds": {s.name: round(seconds(folder, s)) for s in studies}
        | {"densities": round(sum(p["seconds"] for p in densities["pairs"]))},
        "quantities": about(tables[placed.name].quantities),
        "studies": [told for s in studies for told in studies_of(s, tables[s.name])],
        "densities": densities,
    }
    return data | {"reading": reading(data)}


def from_worst(table: Table, ours: str) -> dict[str, list[str]]:
    """The pairs of each kind, those first on which the default is furthest behind the best
    baseline, in dB."""
    baselines = [b for b in AGAINST if b in table.methods]
    behind = {
        name: max(p[b].scores["truth"] for b in baselines) - p[ours].scores["truth"]
        for name, p in table.pairs.items()
    }
    kinds: dict[str, list[str]] = {}
    for name in behind:
        kinds.setdefault(name.rsplit("-", 1)[0], []).append(name)
    return {kind: sorted(own, key=lambda name: -behind[name]) for kind, own in kinds.items()}


def settings_of(study: Study) -> Data:
    """The settings of a study by their flat names, with those of the solver of the default path."""
    solve = InterpolationSolve().model_dump(mode="json")
    return solve | flattened(type(study.settings), study.settings.as_nested())


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
            return Place(PLACE, PAGE, IMAGES)
        folder = KEPT / "quick"
        return Place(folder, folder / "evidence.md", folder / "images")

    def read(self, part: Part) -> Data | None:
        """Kept results; None where there are none."""
        file = self.results / f"{part.value}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None

    def write(self, part: Part, data: Data) -> None:
        """Keep results."""
        write_json(self.results / f"{part.value}.json", data)


def main(
    *,
    quick: bool = False,
    pairs: int = PAIRS,
    only: Part | None = None,
    page: bool = False,
    pool_size: int = 2,
) -> None:
    """Measure, and write results, figures and page.

    Args:
        quick: a few pairs, into runs/.
        pairs: of each kind in the main study; fewer elsewhere too.
        only: one part of it.
        page: the page alone, from kept results.
        pool_size: processes, of one core each.
    """
    if not 1 <= pairs <= PAIRS:
        raise SystemExit(f"got {pairs} pairs; expected 1 to {PAIRS}")
    torch.set_num_threads(1)
    place = Place.of(quick)
    if not page and only is not Part.DIGITS:
        found = rendered(plan(quick, pairs), pool_size, place.images)
        short = pairs if pairs < PAIRS else None
        place.write(Part.RENDERED, {**found, "quick": quick, "short": short})
    if not page and only is not Part.RENDERED:
        try:
            picture = place.images / "evidence-digits.png"
            place.write(Part.DIGITS, digits.run(quick=quick, picture=picture))
        except SystemExit as missing:
            print(f"{missing}; the section on digits is left out, or kept as it was", flush=True)
    data = place.read(Part.RENDERED)
    if data is None:
        raise SystemExit("there are no results of rendered pairs yet; run without --page")
    save_figures(data, place.images)
    place.page.write_text(page_of(data, place.read(Part.DIGITS)), encoding="utf-8")
    print(f"written: {place.page}")


if __name__ == "__main__":
    cyclopts.run(main)
