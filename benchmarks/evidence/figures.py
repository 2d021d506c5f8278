"""Figures of the evidence: win rates, noise levels, and strips of a few pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.evidence.methods import TRUTH
from benchmarks.evidence.numbers import study, value, wins
from benchmarks.evidence.plan import Study
from benchmarks.evidence.work import result_of

Data = dict[str, Any]

RANKED = ("truth", "detour", "coverage", "drift")
LEVELS = ("0.2", "0.4", "0.6", "0.8")
STRIPS = ("turn", "hair", "expression", "all")
"""Kinds whose first pair is shown."""


def save_figures(data: Data, folder: Path) -> None:
    """Every figure that is drawn from numbers alone."""
    folder.mkdir(parents=True, exist_ok=True)
    _wins(data, folder / "evidence-wins.png")
    if any(study(data, f"level {v}") for v in LEVELS):
        _levels(data, folder / "evidence-levels.png")


def save_strips(folder: Path, main: Study, path: Path) -> None:
    """The first pair of some kinds, every method a row."""
    from PIL import Image

    from diffusion_geodesics.reporting.blocks import Film, FilmRow
    from diffusion_geodesics.reporting.strip import StripLayout, film_strip

    layout = StripLayout(frame_height=80, text=14, gap=3, margin=10, radius=3)
    sheets = []
    for case in main.cases():
        if case.name not in {f"{kind}-000" for kind in STRIPS}:
            continue
        outcomes = result_of(folder, main, case).pairs[0].outcomes
        rows = [
            FilmRow(f"{case.kind.value}: {name}" if name == TRUTH else name, o.frames)
            for name, o in outcomes.items()
        ]
        sheets.append(film_strip(Film(rows), layout))
    width, height = max(s.width for s in sheets), sum(s.height for s in sheets)
    whole = Image.new("RGB", (width, height), "white")
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.save(path, optimize=True)


def _wins(data: Data, path: Path) -> None:
    """Win rates against slerp (full) and lerp (hollow), by kind of pair and method."""
    plt = _plots()
    groups = [s["group"] for s in data["studies"] if s["name"] == "main"]
    methods = [
        r["method"]
        for r in (study(data, "main") or {"rows": []})["rows"]
        if r["method"] not in ("slerp", "lerp", TRUTH)
    ]
    figure, axes = plt.subplots(
        1, len(RANKED), figsize=(3.4 * len(RANKED), 1.2 + 0.75 * len(groups)), sharey=True
    )
    for axis, quantity in zip(axes, RANKED, strict=True):
        for k, group in enumerate(groups):
            for m, method in enumerate(methods):
                for side, (rival, face) in enumerate((("slerp", f"C{m}"), ("lerp", "white"))):
                    told = wins(data, "main", method, quantity, rival, group)
                    if not told:
                        continue
                    y = -k + 0.36 - 0.72 * (2 * m + side + 0.5) / (2 * len(methods))
                    low = told["mean"] if told["low"] is None else told["low"]
                    high = told["mean"] if told["high"] is None else told["high"]
                    axis.plot([low, high], [y, y], color=f"C{m}", linewidth=1.4)
                    axis.plot(told["mean"], y, "o", color=f"C{m}", markerfacecolor=face, ms=4.5)
        axis.axvline(0.5, color="black", linewidth=0.9)
        axis.axvline(0.75, color="grey", linewidth=0.9, linestyle=":")
        axis.set(title=quantity, xlim=(-0.03, 1.03), xlabel="share of pairs won")
        axis.grid(True, axis="x", alpha=0.25)
    axes[0].set_yticks([-k for k in range(len(groups))], groups)
    handles = [
        plt.Line2D([], [], color=f"C{m}", marker="o", label=n) for m, n in enumerate(methods)
    ]
    for rival, face in (("slerp", "black"), ("lerp", "white")):
        dot = plt.Line2D([], [], color="black", marker="o", linestyle="", markerfacecolor=face)
        dot.set_label(f"against {rival}")
        handles.append(dot)
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    _save(figure, path)


def _levels(data: Data, path: Path) -> None:
    """Measures over the noise level, by method."""
    plt = _plots()
    shown = ("truth", "detour", "coverage", "log p middle")
    labels = {
        "truth": "dB to the true frame",
        "detour": "share of the detour",
        "coverage": "coverage of the middle",
        "log p middle": "log density of the middle, nats",
    }
    figure, axes = plt.subplots(1, len(shown), figsize=(3.4 * len(shown), 3.4))
    methods = list(
        dict.fromkeys(
            r["method"]
            for v in LEVELS
            for r in (study(data, f"level {v}") or {"rows": []})["rows"]
            if r["method"] != TRUTH
        )
    )
    for axis, quantity in zip(axes, shown, strict=True):
        for m, method in enumerate(methods):
            points = [
                (float(v), told)
                for v in LEVELS
                if (told := value(data, f"level {v}", method, quantity))
            ]
            if not points:
                continue
            x = [p + 0.008 * (m - 1) for p, _ in points]
            y = [t["mean"] for _, t in points]
            bars = [
                [t["mean"] - (t["mean"] if t["low"] is None else t["low"]) for _, t in points],
                [(t["mean"] if t["high"] is None else t["high"]) - t["mean"] for _, t in points],
            ]
            axis.errorbar(x, y, yerr=bars, color=f"C{m}", marker="o", ms=4, lw=1.3, label=method)
        axis.set(title=labels[quantity], xlabel="noise level", xlim=(0.1, 0.9))
        if quantity == "coverage":
            axis.set_ylim(-0.05, 1.05)
        axis.grid(True, alpha=0.25)
    axes[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    _save(figure, path)


def _plots() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=110, metadata={"Software": None})
    _plots().close(figure)
