"""The measurements as Markdown."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

Data = dict[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, the first column to the left."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def median(values: Iterable[float | None]) -> float:
    """The median, None as ∞."""
    return statistics.median(math.inf if v is None else v for v in values)


def _count(value: float) -> str:
    return "never" if math.isinf(value) else f"{value:.0f}"


def _share(costs: Sequence[float | None]) -> str:
    hit, count = sum(c is not None for c in costs), len(costs)
    return "" if hit == count else f" ({hit}/{count})"


def _reached(reached: Data) -> str:
    """Median evaluations / calls, and how many problems got there if not all."""
    evals, calls = median(reached["score_evals"]), median(reached["calls"])
    cost = "never" if math.isinf(evals) else f"{_count(evals)} / {_count(calls)}"
    return cost + _share(reached["score_evals"])


def _percent(value: float) -> str:
    return "-" if math.isinf(value) else f"{100 * value:.2g}%" if value < 100 else "> 100-fold"


def _strong(row: Data) -> str:
    return row["family"] + (" (strong)" if row["strong"] else "")


def _seconds(reached: Data, problems: int) -> str:
    value = median(reached["seconds"]) / problems
    return "-" if math.isinf(value) else f"{value:.3f}"


COST_HEAD = (
    "solver", "gap 1e-3: evaluations / calls", "gap 1e-5", "residual 1e-2", "residual 1e-4",
    "whole run", "gap at the end, median", "s to gap 1e-3",
)  # fmt: skip


def cost_table(rows: Sequence[Data]) -> str:
    """What it costs to reach things."""

    def cells(row: Data) -> list[str]:
        geodesic = bool(row["gaps"])
        gaps = [_reached(g) for g in row["gaps"]] or ["-", "-"]
        residuals = [_reached(r) for r in row["residuals"]] or ["-", "-"]
        whole = f"{median(row['score_evals']):.0f} / {median(row['calls']):.0f}"
        seconds = _seconds(row["gaps"][0], row["problems"]) if geodesic else "-"
        return [row["solver"], *gaps, *residuals, whole, _percent(median(row["gap"])), seconds]

    return table(COST_HEAD, map(cells, rows))


SUCCESS_HEAD = (
    "family", "solver", "shortest found and reported so", "failed and reported so",
    "wrong and not reported", "right but reported as failed", "reported length honest",
)  # fmt: skip


def success_table(rows: Sequence[Data]) -> str:
    """How the runs ended."""
    return table(
        SUCCESS_HEAD,
        (
            [
                _strong(r),
                r["solver"],
                f"{r['success']}/{r['problems']}",
                str(r["reported_failures"]),
                str(r["silent_failures"]),
                str(r["false_alarms"]),
                f"{r['honest_bars']}/{r['success']}",
            ]
            for r in rows
            if r["solver"] != "string method"
        ),
    )


CLAIM_HEAD = (
    "family", "default to gap 1e-3", "published settings", "never gives up", "best rate, hindsight",
    "evaluations: times fewer than never giving up", "than best rate",
    "calls: than never giving up", "than best rate", "shorter path than published",
)  # fmt: skip


def _settings(row: Data) -> str:
    """The published settings: cost to the gap, or what was spent until it gave up."""
    if math.isfinite(median(row["gaps"][0]["score_evals"])):
        return _reached(row["gaps"][0])
    spent = f"{median(row['score_evals']):.0f} / {median(row['calls']):.0f} spent"
    return f"{_reached(row['gaps'][0])}, {spent}, gap {_percent(median(row['gap']))}"


def claim(rows: Sequence[Data]) -> list[str]:
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

    def spent(row: Data, what: str) -> tuple[float, bool]:
        value = median(row["gaps"][0][what])
        if math.isinf(value):
            return (2626.0 if what == "score_evals" else 404.0), True
        return value, False

    def times(row: Data, what: str) -> str:
        value, bound = spent(row, what)
        return ("> " if bound else "") + f"{value / median(own[what]):.0f}"

    return [
        _strong(flow),
        _reached(own),
        _settings(paper),
        _reached(first["gaps"][0]),
        f"{_reached(best['gaps'][0])} at {best['solver'].split()[2].rstrip(',')}" if whole else "-",
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
    return f"Measured at commit {about['commit']}, {where}.\n"


def _families(part: Data) -> str:
    groups = _by_family(part["rows"])
    first, last = part["seeds"]
    lines = [
        f"## Random families, seeds {first} to {last}\n",
        _measured(part),
        *([part["note"] + "\n"] if "note" in part else []),
        "### The default solver against the paper's algorithm\n",
        table(CLAIM_HEAD, map(claim, groups.values())),
        "\n### How the runs ended\n",
        success_table(part["rows"]),
    ]
    for name, rows in groups.items():
        lines += [f"\n### {name}: cost, median over the problems\n", cost_table(rows)]
    lines += [
        "\n### How well the shortest lengths are known\n",
        table(
            ("family", "intervals", "last refinement changed it by", "residual"),
            (
                [
                    r["family"],
                    str(r["intervals"]),
                    f"{r['disagreement']:.1e}",
                    f"{r['residual']:.1e}",
                ]
                for r in part["references"]
            ),
        ),
    ]
    return "\n".join(lines) + "\n"


def _references(part: Data) -> str:
    head = ("problem", *(n for n in dict.fromkeys(r["solver"] for r in part["rows"])))
    rows = (
        [_strong(group[0]), *(_reached(r["gaps"][0]) for r in group)]
        for group in _by_family(part["rows"]).values()
    )
    return (
        "## Reference problems: evaluations / calls to gap 1e-3\n\n"
        + _measured(part)
        + "\n"
        + table(head, rows)
        + "\n"
    )


def _nodes(part: Data) -> str:
    head = (
        "problem", "intervals", "result", "evaluations", "calls", "length error", "path error",
    )  # fmt: skip
    rows = (
        [
            r["problem"],
            str(r["intervals"]),
            r["result"],
            str(r["score_evals"]),
            str(r["calls"]),
            f"{r['length_error']:.1e}",
            f"{r['path_error']:.1e}",
        ]
        for r in part["rows"]
    )
    orders = ([o["problem"], f"{o['path']:.2f}", f"{o['length']:.2f}"] for o in part["orders"])
    return (
        "## Against the number of nodes: the flow on one level\n\n"
        + _measured(part)
        + "\n"
        + table(head, rows)
        + "\n\nObserved orders, the slope over all but the coarsest:\n\n"
        + table(("problem", "path", "length"), orders)
        + "\n"
    )


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
    return "## Against the dimension\n\n" + _measured(part) + "\n" + table(head, rows) + "\n"


_SECTIONS = {
    "families": _families,
    "references": _references,
    "nodes": _nodes,
    "dimensions": _dimensions,
}


def page(data: Data) -> str:
    """Everything that was measured of the comparison."""
    head = (
        "# The solvers, compared\n\nMade by `python -m benchmarks --write`. What the columns mean, "
        "and how it was measured: [benchmarks](../README.md).\n\n"
        "![costs against dimension, gap and nodes](bench.svg)\n"
    )
    return "\n".join([head, *(make(data[k]) for k, make in _SECTIONS.items() if k in data)])


SOLVER_HEAD = (
    "problem", "result", "residual", "length gap", "error bar", "steps", "calls",
    "evaluations", "published", "ratio", "s",
)  # fmt: skip


def solver_page(part: Data) -> str:
    """The default solver on the reference problems."""
    rows = (
        [
            r["name"] + (" (strong)" if r["strong"] else ""),
            r["result"],
            f"{r['residual']:.1e}",
            f"{r['relative_gap']:+.1e}",
            f"{r['relative_error_bar']:.1e}",
            str(r["iterations"]),
            str(r["calls"]),
            str(r["score_evals"]),
            str(r["published_evals"]),
            f"{r['ratio']:.2f}",
            f"{r['seconds']:.2f}",
        ]
        for r in part["rows"]
    )
    return (
        "# The default solver, measured\n\nMade by `python -m benchmarks --only solver --write`. "
        "What the columns mean: [benchmarks](../README.md); all solvers: [bench](bench.md).\n\n"
        + _measured(part)
        + "\n"
        + table(SOLVER_HEAD, rows)
        + "\n"
    )
