"""Paths between arrays under a model of arrays, measured against known in-betweens."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from scipy.stats import bootstrap
from torch import Tensor

import diffusion_geodesics as dg
from diffusion_geodesics.models import FunctionModel

TIMES = torch.linspace(0, 1, 17, dtype=torch.float64)
START_NOISE = 0.02  # the least noise of the training, which inversions start from


def arguments(name: str, level: float, strength: float) -> argparse.Namespace:
    """What is given on the command line of an example; the folder `out` is made."""
    parser = argparse.ArgumentParser()
    parser.add_argument("-o", "--out", type=Path, default=Path("runs") / name)
    parser.add_argument("--quick", action="store_true", help="a tiny training, for tests")
    parser.add_argument("--level", type=float, default=level, help="noise level, 0 to 1")
    parser.add_argument("--strength", type=float, default=strength, help="α·d of the geodesic")
    options = parser.parse_args()
    _own_folder(options.out, name)
    return options


def in_betweens(
    model: FunctionModel, level: float, a: Tensor, b: Tensor, strength: float
) -> dict[str, Tensor]:
    """Arrays at `TIMES` between all pairs (pairs, *shape), as (times, pairs, *shape).

    Three paths run at the noise level, all pairs in one batch: the geodesic with α·d = `strength`,
    lerp and slerp. "blend" mixes the clean arrays.
    """
    at = model.at(level)
    x0, x1 = at.noised(torch.cat([a, b]).double(), start_noise=START_NOISE).chunk(2)
    solution = dg.geodesic(at.score, x0, x1, alpha=strength / x0.shape[1], starts=1)
    print(solution, *solution.warnings, sep="\n  ")
    paths = {
        "geodesic": solution.path,
        "lerp": dg.paths.Line(x0, x1),
        "slerp": dg.paths.GreatArc(x0, x1),
    }
    shape = (len(TIMES), *a.shape)
    found = {name: at.clean(path(TIMES).flatten(0, 1)) for name, path in paths.items()}
    t = TIMES.to(a.dtype).reshape(-1, *[1] * a.ndim)
    return {name: x.reshape(shape).to(a.dtype) for name, x in found.items()} | {
        "blend": (1 - t) * a + t * b
    }


def interval(values: Tensor) -> tuple[float, float, float]:
    """The mean over pairs and its 95% interval by the bootstrap."""
    found = bootstrap((values.numpy(),), np.mean, method="percentile", rng=0)
    low, high = found.confidence_interval
    return float(values.mean()), float(low), float(high)


def table(figures: dict[str, dict[str, Tensor]]) -> str:
    """A table in Markdown from {measure: {path: a value for each pair}}: means with 95% intervals,
    and the geodesic's differences to the other paths, pair by pair."""
    rows = ["| path | " + " | ".join(figures) + " |", "|---|" + "---|" * len(figures)]
    for path in next(iter(figures.values())):
        cells = []
        for values in figures.values():
            mean, low, high = interval(values[path])
            cells.append(f"{mean:.3f} ({low:.3f} to {high:.3f})")
        rows.append(f"| {path} | " + " | ".join(cells) + " |")
    for path in [p for p in next(iter(figures.values())) if p != "geodesic"]:
        cells = []
        for values in figures.values():
            mean, low, high = interval(values["geodesic"] - values[path])
            cells.append(f"{mean:+.3f} ({low:+.3f} to {high:+.3f})")
        rows.append(f"| geodesic minus {path} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def save(
    folder: Path, name: str, figures: dict[str, dict[str, Tensor]], shown: dict[str, Tensor]
) -> None:
    """The table on the screen and in `table.md`, every pair's values in `figures.json`, and arrays
    of one pair in `between.npz`."""
    text = table(figures)
    print(text)
    (folder / "table.md").write_text(text + "\n", encoding="utf-8")
    values = {m: {p: v.tolist() for p, v in of.items()} for m, of in figures.items()}
    content = json.dumps({"example": name, "values": values}, indent=1)
    (folder / "figures.json").write_text(content + "\n", encoding="utf-8")
    np.savez_compressed(folder / "between.npz", **{k: x.numpy() for k, x in shown.items()})


def _own_folder(folder: Path, name: str) -> None:
    """Make the folder for the output; `SystemExit` where it holds anything else than a former
    output of the example `name`."""
    mark = folder / "figures.json"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        try:
            ours = json.loads(mark.read_text(encoding="utf-8"))["example"] == name
        except (OSError, ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise SystemExit(f"{folder} holds something else than {name}'s output; give another -o")
    folder.mkdir(parents=True, exist_ok=True)
