"""The measurements as log-log plots: cost against dimension, against the gap, against nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.tables import median

Data = dict[str, Any]


def save_plots(data: Data, path: Path) -> None:
    """Plots of what there is, in one SVG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    plt.rcParams["svg.hashsalt"] = "diffusion-geodesics"
    kinds = [k for k in ("dimensions", "families", "nodes") if k in data]
    if not kinds:
        return
    figure, axes = plt.subplots(1, len(kinds), figsize=(5.6 * len(kinds), 4.8), squeeze=False)
    draw = {"dimensions": _dimensions, "families": _families, "nodes": _nodes}
    for kind, axis in zip(kinds, axes[0], strict=True):
        draw[kind](axis, data[kind])
        axis.grid(True, which="major", alpha=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _dimensions(axis: Any, part: Data) -> None:
    """Evaluations to gap 1e-3 against the dimension; hollow where it was never reached."""
    for number, name in enumerate(dict.fromkeys(r["solver"] for r in part["rows"])):
        rows = [r for r in part["rows"] if r["solver"] == name]
        dims = [r["dim"] for r in rows]
        costs = [median(s["gaps"][0]["score_evals"][0] for s in r["rows"]) for r in rows]
        spent = [median(s["score_evals"][0] for s in r["rows"]) for r in rows]
        colour = f"C{number}"
        hit = [c < float("inf") for c in costs]
        shown = [c if h else s for c, s, h in zip(costs, spent, hit, strict=True)]
        axis.plot(dims, shown, color=colour, label=name)
        for d, y, h in zip(dims, shown, hit, strict=True):
            axis.plot(d, y, "o", color=colour, markerfacecolor=colour if h else "white")
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="dimension",
        ylabel="score evaluations",
        title="To a length gap of 1e-3\n(hollow: never reached, all it spent)",
    )
    axis.set_ylim(10, None)
    axis.legend(fontsize=7, loc="best")


def _families(axis: Any, part: Data) -> None:
    """Gap at the end against evaluations of the whole run, every problem a point."""
    groups: dict[str, list[Data]] = {}
    for row in part["rows"]:
        full = "never gives up" in row["solver"]
        label = "published, never gives up, rate 0.1 and best" if full else row["solver"]
        if row["solver"] not in ("string method", "flow, 5 starts"):
            groups.setdefault(label, []).append(row)
    for number, (name, rows) in enumerate(groups.items()):
        x = [e for r in rows for e in r["score_evals"]]
        y = [g for r in rows for g in r["gap"]]
        both = [(a, max(b, 1e-9)) for a, b in zip(x, y, strict=True) if b is not None and b < 1e3]
        if both:
            axis.plot(*zip(*both, strict=True), ".", color=f"C{number}", label=name, alpha=0.6)
    axis.axhline(1e-3, color="grey", linewidth=0.8)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="score evaluations, whole run",
        ylabel="relative gap of length",
        title="Every problem of every family\n(gaps below 1e-9 shown there)",
    )
    axis.legend(fontsize=7, loc="lower right")


def _nodes(axis: Any, part: Data) -> None:
    """Errors of path and length against intervals."""
    for number, name in enumerate(dict.fromkeys(r["problem"] for r in part["rows"])):
        rows = [r for r in part["rows"] if r["problem"] == name]
        n = [r["intervals"] for r in rows]
        axis.plot(n, [r["path_error"] for r in rows], "o-", color=f"C{number}", label=name)
        lengths = [max(r["length_error"], 1e-15) for r in rows]
        axis.plot(n, lengths, "s--", color=f"C{number}", markerfacecolor="white")
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="intervals",
        ylabel="relative error",
        title="Flow: path (solid, order 2)\nand length (dashed)",
    )
    axis.set_xticks([8, 16, 32, 64, 128], labels=["8", "16", "32", "64", "128"])
    axis.minorticks_off()
    axis.legend(fontsize=7, loc="best")
