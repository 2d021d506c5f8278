"""Figures of the evidence: win rates, noise levels, and strips of a few pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from benchmarks import rife
from benchmarks.evidence.methods import TRUTH
from benchmarks.evidence.numbers import AGAINST, methods, study, value, wins
from benchmarks.record import Data
from diffusion_geodesics.comparison.result import PairResult

if TYPE_CHECKING:
    from PIL import Image

MARKS = {"slerp": ("o", None), "lerp": ("o", "white"), rife.NAME: ("x", None)}
"""What stands for a baseline: a marker, and its face where it is not the method's colour."""
RANKED = ("truth", "detour", "coverage", "drift")
LEVELS = ("0.2", "0.4", "0.6", "0.8")
LABELS = {
    "truth": "dB to the true frame",
    "detour": "share of the detour",
    "coverage": "coverage of the middle",
    "log p middle": "log density of the middle, nats",
}
"""What is drawn over the noise level."""


def save_figures(data: Data, folder: Path) -> None:
    """Every figure that is drawn from numbers alone."""
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    _wins(data, folder / "evidence-wins.png")
    if any(study(data, f"level {v}") for v in LEVELS):
        _levels(data, folder / "evidence-levels.png")


def save_strips(pairs: Sequence[tuple[PairResult, Sequence[str]]], path: Path) -> None:
    """Some methods of some pairs, a row each, one pair below the other."""
    from PIL import Image

    from diffusion_geodesics.reporting.blocks import Film, FilmRow
    from diffusion_geodesics.reporting.strip import StripLayout, film_strip

    layout = StripLayout(frame_height=80, text=14, gap=3, margin=10, radius=3)
    sheets = []
    for pair, names in pairs:
        told = [f"{pair.name}: {names[0]}", *names[1:]]
        frames = (pair.outcomes[name].frames for name in names)
        rows = [FilmRow(title, strip) for title, strip in zip(told, frames, strict=True)]
        sheets.append(film_strip(Film(rows), layout))
    size = max(s.width for s in sheets), sum(s.height for s in sheets)
    whole = Image.new("RGB", size, "white")
    for i, sheet in enumerate(sheets):
        whole.paste(sheet, (0, sum(s.height for s in sheets[:i])))
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.save(path, optimize=True, quality=88)


def save_sheet(pairs: Sequence[PairResult], names: Sequence[str], path: Path) -> None:
    """Frames of some methods of many pairs, small, in two columns: row by row from the first."""
    from PIL import Image

    edge, gap = 56, 8
    cells = [
        [_row(pair.outcomes[name].frames, edge) for name in names if name in pair.outcomes]
        for pair in pairs
    ]
    width, height = cells[0][0].width, len(names) * edge
    lines = -(-len(cells) // 2)
    size = 2 * width + gap, lines * (height + gap) - gap
    whole = Image.new("RGB", size, "white")
    for number, rows in enumerate(cells):
        line, column = divmod(number, 2)
        for k, row in enumerate(rows):
            whole.paste(row, (column * (width + gap), line * (height + gap) + k * edge))
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.save(path, quality=82, method=6)


def _row(frames: Tensor, edge: int) -> Image.Image:
    """Frames side by side."""
    from PIL import Image

    levels = (torch.cat(list(frames), 2).permute(1, 2, 0) * 255).round().byte().cpu().numpy()
    return Image.fromarray(levels).resize((edge * len(frames), edge), Image.Resampling.LANCZOS)


def _low_high(told: Data) -> tuple[float, float]:
    """Ends of an interval; the mean where there is none."""
    ends = (told["mean"] if told[end] is None else told[end] for end in ("low", "high"))
    low, high = ends
    return low, high


def _wins(data: Data, path: Path) -> None:
    """Win rates against each baseline, by kind of pair and method."""
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    groups = [s["group"] for s in data["studies"] if s["name"] == "main"]
    names = [m for m in methods(study(data, "main")) if m not in ("slerp", "lerp", TRUTH)]
    against = [b for b in AGAINST if b in methods(study(data, "main"))]
    size = (3.4 * len(RANKED), 1.2 + 0.25 * len(names) * len(groups))
    figure, axes = plt.subplots(1, len(RANKED), figsize=size, sharey=True)
    places = [
        (k, group, m, method, side, baseline)
        for k, group in enumerate(groups)
        for m, method in enumerate(names)
        for side, baseline in enumerate(against)
    ]
    for axis, quantity in zip(axes, RANKED, strict=True):
        for k, group, m, method, side, baseline in places:
            if told := wins(data, "main", method, quantity, baseline, group):
                place = (m + (side + 0.5) / len(against)) / len(names)
                y, (marker, face) = -k + 0.42 - 0.84 * place, MARKS[baseline]
                axis.plot(_low_high(told), [y, y], color=f"C{m}", linewidth=1.4)
                style = {"color": f"C{m}", "markerfacecolor": face or f"C{m}", "ms": 4.5}
                axis.plot(told["mean"], y, marker, **style)
        axis.axvline(0.5, color="black", linewidth=0.9)
        axis.axvline(0.75, color="grey", linewidth=0.9, linestyle=":")
        axis.set(title=quantity, xlim=(-0.03, 1.03), xlabel="share of pairs won")
        axis.grid(True, axis="x", alpha=0.25)
    axes[0].set_yticks([-k for k in range(len(groups))], groups)
    handles = [Line2D([], [], color=f"C{m}", marker="o", label=n) for m, n in enumerate(names)]
    for baseline in against:
        marker, face = MARKS[baseline]
        dot = Line2D([], [], color="black", marker=marker, linestyle="")
        dot.set_markerfacecolor(face or "black")
        dot.set_label(f"against {baseline}")
        handles.append(dot)
    figure.legend(handles=handles, loc="lower center", ncols=len(handles), frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)


def _levels(data: Data, path: Path) -> None:
    """Measures over the noise level, by method."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(LABELS), figsize=(3.4 * len(LABELS), 3.4))
    names = dict.fromkeys(m for v in LEVELS for m in methods(study(data, f"level {v}")))
    for axis, (quantity, label) in zip(axes, LABELS.items(), strict=True):
        for m, method in enumerate(n for n in names if n != TRUTH):
            found = [(float(v), value(data, f"level {v}", method, quantity)) for v in LEVELS]
            points = [(v, told["mean"], *_low_high(told)) for v, told in found if told]
            if points:
                x, y, low, high = zip(*points, strict=True)
                bars = [[b - a for a, b in zip(*p, strict=True)] for p in ((low, y), (y, high))]
                moved = [v + 0.008 * (m - 1) for v in x]
                axis.errorbar(
                    moved, y, yerr=bars, color=f"C{m}", marker="o", ms=4, lw=1.3, label=method
                )
        axis.set(title=label, xlabel="noise level", xlim=(0.1, 0.9))
        if quantity == "coverage":
            axis.set_ylim(-0.05, 1.05)
        axis.grid(True, alpha=0.25)
    axes[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
