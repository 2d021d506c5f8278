"""The measurements as Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.record import Data, table

FULL_DESCENT = {"score_evals": 2626.0, "calls": 404.0}
"""Cost of the paper's algorithm to its end."""


def median(values: Iterable[float | None]) -> float:
    """The median, None as ∞."""
    return statistics.median(math.inf if v is None else v for v in values)


def _reached(reached: Mapping[str, Sequence[float | None]]) -> str:
    """Median evaluations / calls, and how many problems got there if not all."""
    evals, calls = median(reached["score_evals"]), median(reached["calls"])
    cost = "never" if math.isinf(evals) else f"{evals:.0f} / {calls:.0f}"
    hit, count = (sum(v is not None for v in reached["score_evals"]), len(reached["score_evals"]))
    return cost + ("" if hit == count else f" ({hit}/{count})")


def _percent(value: float) -> str:
    return "-" if math.isinf(value) else f"{100 * value:.2g}%" if value < 100 else "> 100-fold"


def _strong(row: Data) -> str:
    return row["family"] + (" (strong)" if row["strong"] else "")


COST_HEAD = (
    "solver", "gap 1e-3: evaluations / calls", "gap 1e-5", "residual 1e-2", "residual 1e-4",
    "whole run", "gap at the end, median", "s to gap 1e-3",
)  # fmt: skip


def _cost(row: Data) -> list[str]:
    """What it costs to reach things."""
    gaps = [_reached(g) for g in row["gaps"]] or ["-", "-"]
    residuals = [_reached(r) for r in row["residuals"]] or ["-", "-"]
    whole = f"{median(row['score_evals']):.0f} / {median(row['calls']):.0f}"
    seconds = median(row["gaps"][0]["seconds"]) / row["problems"] if row["gaps"] else math.inf
    told = "-" if math.isinf(seconds) else f"{seconds:.3f}"
    return [row["solver"], *gaps, *residuals, whole, _percent(median(row["gap"])), told]


SUCCESS_HEAD = (
    "family", "solver", "shortest found and reported so", "failed and reported so",
    "wrong and not reported", "right but reported as failed", "reported length honest",
)  # fmt: skip


def _success(row: Data) -> list[str]:
    """How the runs ended."""
    counts = [str(row[k]) for k in ("reported_failures", "silent_failures", "false_alarms")]
    found = f"{row['success']}/{row['problems']}"
    return [_strong(row), row["solver"], found, *counts, f"{row['honest_bars']}/{row['success']}"]


CLAIM_HEAD = (
    "family", "default to gap 1e-3", "published settings", "never gives up", "best rate, hindsight",
    "evaluations: times fewer than never giving up", "than best rate",
    "calls: than never giving up", "than best rate", "shorter path than published",
)  # fmt: skip


def _published(row: Data) -> str:
    """The published settings: cost to the gap, or what was spent until it gave up."""
    told = _reached(row["gaps"][0])
    if math.isfinite(median(row["gaps"][0]["score_evals"])):
        return told
    spent = f"{median(row['score_evals']):.0f} / {median(row['calls']):.0f} spent"
    return f"{told}, {spent}, gap {_percent(median(row['gap']))}"


def _claim(rows: Sequence[Data]) -> list[str]:
    """The default solver against the paper's algorithm on one family.

    Where the latter never reaches the gap on half of the problems, what it spends to its end is a
    lower bound, and so is the ratio (">").
    """
    flow = next(r for r in rows if r["solver"] == "flow (default)")
    paper = next(r for r in rows if r["solver"] == "published, rate 0.1")
    full = [r for r in rows if "never gives up" in r["solver"]]
    first, best = full[0], full[-1]
    own, whole = flow["gaps"][0], any(r["solver"].startswith("energy") for r in rows)
    shorter = sum(
        b is None or a < b for a, b in zip(flow["gap"], paper["gap"], strict=True) if a is not None
    )

    def times(row: Data, what: str) -> str:
        value = median(row["gaps"][0][what])
        bound = math.isinf(value)
        value = FULL_DESCENT[what] if bound else value
        return f"{'> ' if bound else ''}{value / median(own[what]):.0f}"

    reached = _reached(best["gaps"][0])
    return [
        _strong(flow),
        _reached(own),
        _published(paper),
        _reached(first["gaps"][0]),
        f"{reached} at {best['solver'].split()[2].rstrip(',')}" if whole else "-",
        times(first, "score_evals"),
        times(best, "score_evals") if whole else "-",
        times(first, "calls"),
        times(best, "calls") if whole else "-",
        f"{shorter}/{flow['problems']}",
    ]


def _by_family(rows: Sequence[Data]) -> dict[str, list[Data]]:
    found: dict[str, list[Data]] = {}
    for row in rows:
        found.setdefault(row["family"], []).append(row)
    return found


def _measured(part: Data) -> str:
    about = part["about"]
    where = f"torch {about['torch']}, {about['threads']} thread"
    anew = about.get("published")
    paper = f" Rows of the published algorithm: commit {anew}." if anew else ""
    return f"Measured at commit {about['commit']}, {where}.{paper}"


def _families(part: Data) -> str:
    groups = _by_family(part["rows"])
    solved = [_success(r) for r in part["rows"] if r["solver"] != "string method"]
    known = (
        [r["family"], str(r["intervals"]), f"{r['disagreement']:.1e}", f"{r['residual']:.1e}"]
        for r in part["references"]
    )
    head = ("family", "intervals", "last refinement changed it by", "residual")
    lines = [
        "## Random families, seeds {} to {}".format(*part["seeds"]),
        _measured(part),
        *([part["note"]] if "note" in part else []),
        "### The default solver against the paper's algorithm",
        table(CLAIM_HEAD, map(_claim, groups.values())),
        "### How the runs ended",
        table(SUCCESS_HEAD, solved),
    ]
    for name, rows in groups.items():
        costs = table(COST_HEAD, map(_cost, rows))
        lines += [f"### {name}: cost, median over the problems", costs]
    return "\n\n".join([*lines, "### How well the shortest lengths are known", table(head, known)])


def _references(part: Data) -> str:
    head = ("problem", *dict.fromkeys(r["solver"] for r in part["rows"]))
    rows = (
        [_strong(group[0]), *(_reached(r["gaps"][0]) for r in group)]
        for group in _by_family(part["rows"]).values()
    )
    title = "## Reference problems: evaluations / calls to gap 1e-3"
    return "\n\n".join([title, _measured(part), table(head, rows)])


def _dimensions(part: Data) -> str:
    head = (
        "dimension", "solver", "seeds", "gap 1e-3: evaluations / calls", "gap 1e-5",
        "gap at the end", "seconds, whole run", "peak memory, MB",
    )  # fmt: skip

    def joined(rows: Sequence[Data], index: int) -> str:
        both = ("score_evals", "calls")
        return _reached({k: [r["gaps"][index][k][0] for r in rows] for k in both})

    rows = (
        [
            str(d["dim"]),
            d["solver"],
            str(len(d["rows"])),
            joined(d["rows"], 0),
            joined(d["rows"], 1),
            _percent(median(r["gap"][0] for r in d["rows"])),
            f"{median(r['seconds'] for r in d['rows']):.2f}",
            f"{d['megabytes']:.0f}",
        ]
        for d in part["rows"]
    )
    return "\n\n".join(["## Against the dimension", _measured(part), table(head, rows)])


_SECTIONS = {
    "families": _families,
    "references": _references,
    "dimensions": _dimensions,
}


def page(data: Data) -> str:
    """Everything that was measured of the comparison."""
    head = (
        "# The solvers, compared\n\nMade by `python -m benchmarks.solvers --write`. What the "
        "columns mean, and how it was measured: [benchmarks](../README.md)."
    )
    made = (make(data[k]) for k, make in _SECTIONS.items() if k in data)
    return "\n\n".join([head, *made]) + "\n"
