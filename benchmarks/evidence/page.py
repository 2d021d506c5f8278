"""docs/evidence.md, out of the results and nothing else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks import rife
from benchmarks.evidence.claims import reading
from benchmarks.evidence.numbers import (
    AGAINST,
    methods,
    number,
    percent,
    study,
    value,
    wins,
    with_interval,
)
from benchmarks.evidence.pairs import Kind
from benchmarks.record import ROOT, Data, table, template

PAGE = ROOT / "docs" / "evidence.md"
IMAGES = ROOT / "docs" / "images"

SHOWN = (
    "truth",
    "nearest truth",
    "detour",
    "coverage",
    "off manifold",
    "drift",
    "ghosting",
    "sharpness",
    "C2ST",
)
"""Quantities of the tables, in order."""
RANKED = ("truth", "nearest truth", "detour", "coverage", "off manifold", "drift", "ghosting")
"""Those whose win rates are told."""
ALONG = ("log p min", "log p middle", "log p mean", "length", "residual", "noise energy", "norm")
REST = ("largest step", "feature length", "end PSNR", "end SSIM", "NFE")
SETS = ("Fréchet distance", "C2ST")
ARROWS = {"higher": " ↑", "lower": " ↓", "neither": ""}


def page(rendered: Data, digits: Data | None) -> str:
    """The page as Markdown."""
    found = reading(rendered)
    text = template(Path(__file__).with_name("evidence.md.j2")).render(
        data=rendered,
        digits=digits,
        claims=found,
        holding=[c for c in found if c["holds"]],
        failing=[c for c in found if not c["holds"]],
        goal=found[0] if found else None,
        kinds=_kinds(rendered),
        kinds_shown=[kind.value for kind in Kind],
        rival=rife.NAME in methods(study(rendered, "main")),
        means=lambda name, group="all pairs": means(rendered, study(rendered, name, group), SHOWN),
        along=lambda name: means(rendered, study(rendered, name), ALONG),
        rest=lambda name: means(rendered, study(rendered, name), REST),
        wins=lambda name, group="all pairs": win_table(study(rendered, name, group)),
        study=lambda name: study(rendered, name),
        pairs=lambda name: _pairs(study(rendered, name)),
        notes=lambda name: _notes(study(rendered, name)),
        names=list(dict.fromkeys(s["name"] for s in rendered["studies"])),
        digit_means=lambda s: means(digits or {}, s, _ranking(s)),
        digit_wins=win_table,
        digit_reading=_digit_reading(digits or {}),
        densities=_densities(rendered),
        quantities=_quantities(rendered),
        minutes=number(sum(rendered["seconds"].values()) / 60),
        number=number,
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def means(data: Data, part: Data | None, quantities: Sequence[str] | None) -> str:
    """Means with intervals, a row a method."""
    if part is None:
        return ""
    measured = dict.fromkeys(q for r in part["rows"] for q in r["values"])
    chosen = [q for q in quantities or measured if q in measured]
    about = data.get("quantities", {})
    head = ["method", *(q + ARROWS[about.get(q, {}).get("better", "neither")] for q in chosen)]
    rows = (
        [r["method"], *(with_interval(r["values"].get(q)) for q in chosen)] for r in part["rows"]
    )
    return table(head, rows)


def win_table(part: Data | None) -> str:
    """Win rates against the baselines, a row each."""
    if part is None:
        return ""
    won = (r.get(key) or {} for r in part["rows"] for key in AGAINST.values())
    told = list(dict.fromkeys(q for found in won for q in found))
    ranked = [q for q in RANKED if q in told]
    chosen = ranked if len(ranked) > 3 else told
    rows = [
        [r["method"], baseline, *(percent(r[key].get(q)) for q in chosen)]
        for r in part["rows"]
        for baseline, key in AGAINST.items()
        if r.get(key)
    ]
    if len({r[1] for r in rows}) < 2:
        rows = [[r[0], *r[2:]] for r in rows]
        return table(["method", *chosen], rows) if rows else ""
    return table(["method", "against", *chosen], rows)


def _pairs(part: Data | None) -> str:
    count = part["pairs"] if part else 0
    return f"{count} pair{'' if count == 1 else 's'}"


def _notes(part: Data | None) -> str:
    """How solvers ended that did not converge."""
    told = [
        f"{method}: {note} on {count} of {part['pairs']} pairs"
        for method, row in methods(part).items()
        for note, count in row["notes"].items()
        if part
    ]
    return f"Solvers that did not converge: {'; '.join(told)}." if told else ""


def _kinds(data: Data) -> str:
    """A line a kind: how much of a detour there is, and who wins there."""
    ours, rows = data["ours"], []
    main = methods(study(data, "main"))
    baselines = [b for b in AGAINST if b in main]
    for part in (s for s in data["studies"] if s["name"] == "main"):
        group = part["group"]
        need = value(data, "main", "truth", "detour to make", group)
        shares = [
            percent(wins(data, "main", ours, q, baseline, group))
            for q in ("truth", "coverage")
            for baseline in baselines
        ]
        means = [with_interval(value(data, "main", m, "coverage", group)) for m in ("slerp", ours)]
        needed = number(need["mean"] if need else None)
        rows.append([group, str(part["pairs"]), needed, *shares, *means])
    head = (
        "kind", "pairs", "detour to make",
        *(f"{q}: wins against {b}" for q in ("truth", "coverage") for b in baselines),
        "coverage of slerp", f"of {ours}",
    )  # fmt: skip
    return table(head, rows)


def _densities(data: Data) -> str:
    found = data["densities"]
    names = list(found["means"])
    rows = [
        [p["pair"], *(number(p["middle"].get(n)) for n in names), number(p["error"])]
        for p in found["pairs"]
    ]
    rows.append(["mean", *(with_interval(found["means"][n]) for n in names), ""])
    return table(["pair", *names, "largest error"], rows)


def _quantities(data: Data) -> str:
    rows = (
        [name + ARROWS[q["better"]], q["about"], q["deceives"] or "–"]
        for name, q in data["quantities"].items()
    )
    return table(["measure", "what it is", "what deceives"], rows, words=3)


def _digit_reading(digits: Data) -> str:
    """By method, what it is better and worse at than slerp, its interval excluding a draw."""
    rows = [
        [method, *(", ".join(told[k]) or "–" for k in ("better than slerp", "worse than slerp"))]
        for method, told in digits.get("reading", {}).items()
    ]
    return table(["method", "better than slerp", "worse than slerp"], rows, words=3)


def _ranking(part: Data) -> list[str] | None:
    """The quantities of a study that rank, and those of whole sets of frames; None for all, where
    nothing ranks."""
    won = list(dict.fromkeys(q for r in part["rows"] for q in r.get("wins", {})))
    return [*won, *(q for q in SETS if q not in won)] if won else None
