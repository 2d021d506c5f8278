"""Our defaults against the published settings, run by the same code.

For each pair: rows, calls, seconds and TFLOP, endpoint PSNR, and the length of every path under
two metrics, the same for all:

- *published*: α = 0.002 on their estimate ½(ε₋ - ε_c), averaged over three fixed time steps of
  their window, which is what their random one estimates;
- *exact*: α·d = 1 on the exact score of p(x | prompt).

Lengths are divided by slerp's between the same ends. Runs on different grids have slightly
different ends, so only such ratios compare; `published` and `published, our solver` share theirs.
Geodesics are those of the shell (`carried=False`): slerp is shortest in no moving frame.
*Film* leaves out the rows of measuring and of the comparison film, which the official code lacks.

    python -m benchmarks.cost --pairs 2 --write benchmarks/results
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.commit import commit
from diffusion_geodesics import Settings, interpolate, load_model
from diffusion_geodesics.apps import Interpolation
from diffusion_geodesics.apps.job import prepare
from diffusion_geodesics.apps.settings import PUBLISHED_NEGATIVE, Estimate, PathSolver
from diffusion_geodesics.diffusion import TextInversion
from diffusion_geodesics.images import load_image
from diffusion_geodesics.length import measure
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.path import chord
from training.bank import held_out
from training.factors import caption, phrases
from training.portraits import render

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
STREAM = 11
PUBLISHED = Settings.published(
    solver=PathSolver.PRECONDITIONED, estimate=Estimate.PUBLISHED, window_nodes=3
)
"""The published metric as a function of the point."""
BASE = Settings(carried=False, strength=1.0)
"""The default when these tables were made."""


@dataclass(frozen=True)
class Pair:
    """Two images and what they show."""

    name: str
    images: tuple[Tensor, Tensor]
    prompts: tuple[str, str]


@dataclass(frozen=True)
class Row:
    """What one run cost, and what came of it."""

    pair: str
    settings: str
    rows: int
    film_rows: int
    solver_rows: int
    calls: int
    seconds: float
    tflop: float
    published: float
    exact: float
    ends: float
    codec: float
    result: str


def pairs(count: int, size: int) -> list[Pair]:
    """The example portraits, and rendered heads that the model was not trained on."""
    examples = (load_image(EXAMPLES / "portrait_a.png"), load_image(EXAMPLES / "portrait_b.png"))
    found = [Pair("examples", examples, ("a portrait", "a portrait"))]
    heads = held_out(2 * count, STREAM)
    for k in range(count):
        ends = [heads.select(k), heads.select(count + k)]
        drawn = [render(end, size)[0].clamp(0, 1) for end in ends]
        said = [caption(phrases(end)[0]) for end in ends]
        found.append(Pair(f"rendered {k + 1}", (drawn[0], drawn[1]), (said[0], said[1])))
    return found


def length(model: DiffusionModel, pair: Pair, done: Interpolation, metric: Settings) -> float:
    """The path's length over slerp's, in the metric of other settings at its own noise level."""
    own = done.settings
    settings = replace(metric, level=own.level, steps=own.steps, size=own.size)
    first, last = pair.prompts
    job = prepare(model, *pair.images, replace(settings, prompt_a=first, prompt_b=last))
    connection = job.geometry(done.chart, done.dim).connection
    start, end = done.path(torch.tensor([0.0, 1.0], dtype=torch.float64))
    slerp = chord(start, end, done.chart.manifold)
    found, arc = (float(measure(connection, p, intervals=32).distance) for p in (done.path, slerp))
    return found / arc


def run(model: DiffusionModel, pair: Pair, name: str, settings: Settings) -> Row:
    """One interpolation."""
    first, last = pair.prompts
    done = interpolate(model, *pair.images, replace(settings, prompt_a=first, prompt_b=last))
    total = done.ledger.total
    return Row(
        pair.name,
        name,
        total.rows,
        total.rows - done.ledger["measure"].rows - done.ledger["compare"].rows,
        done.ledger["solve"].rows,
        total.calls,
        total.seconds,
        total.tflop,
        length(model, pair, done, PUBLISHED),
        length(model, pair, done, BASE),
        min(done.endpoint_psnr),
        min(done.codec_psnr),
        "" if done.solution is None else done.solution.result.name,
    )


def variants(text: bool) -> dict[str, Settings]:
    """What is compared."""
    theirs = Settings.published()
    metric = {"estimate": Estimate.PUBLISHED, "window_nodes": 1, "alpha": theirs.alpha}
    found = {
        "ours, default": BASE,
        "published, all steps": replace(theirs, solver=PathSolver.PUBLISHED_FULL),
        "ours, at their noise level": replace(BASE, level=theirs.level, allow_atypical=True),
        "ours, in their metric": Settings(
            level=theirs.level,
            negative=PUBLISHED_NEGATIVE,
            carried=False,
            allow_atypical=True,
            **metric,
        ),
        "published, our solver": replace(theirs, solver=PathSolver.PRECONDITIONED, **metric),
        "published, as its code runs": theirs,
    }
    if text:
        method = TextInversion.published()
        found["published, all steps, text inversion"] = replace(
            found["published, all steps"], text_inversion=method
        )
    return found


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [
        "| pair | settings | rows | film | solver | calls | TFLOP | seconds "
        "| published length / slerp's | exact length / slerp's | ends, dB | codec, dB | result |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r.pair} | {r.settings} | {r.rows} | {r.film_rows} | {r.solver_rows} | {r.calls} "
            f"| {r.tflop:.2f} | {r.seconds:.0f} | {r.published:.6f} | {r.exact:.6f} "
            f"| {r.ends:.2f} | {r.codec:.2f} | {r.result} |"
        )
    return "\n".join(lines) + "\n"


def measure_all(model: DiffusionModel, options: argparse.Namespace) -> list[Row]:
    """Every variant on every pair."""
    rows: list[Row] = []
    for pair in pairs(options.pairs, model.native_size):
        if options.only and pair.name not in options.only:
            continue
        for name, settings in variants(options.text).items():
            if options.settings and name not in options.settings:
                continue
            rows.append(run(model, pair, name, replace(settings, size=options.size)))
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost")
    parser.add_argument("--pairs", type=int, default=2, help="rendered pairs")
    parser.add_argument("--only", nargs="*", help='names of pairs to run, such as "rendered 1"')
    parser.add_argument("--settings", nargs="*", help="names of settings to run")
    parser.add_argument("--text", action="store_true", help="also with the paper's text inversion")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--size", type=int, help="edge of the images; the model's own by default")
    parser.add_argument("--write", type=Path, help="folder for cost.md and cost.json")
    parser.add_argument("--join", type=Path, nargs="+", help="only join cost.json of parts")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.join:
        parts = [json.loads(part.read_text(encoding="utf-8")) for part in options.join]
        rows = [Row(**row) for part in parts for row in part]
    else:
        rows = measure_all(load_model(options.model), options)
    page = table(rows)
    print(page)
    if options.write:
        about = (
            "# Cost, measured\n\n"
            f"Made by `python -m benchmarks.cost` at commit {commit()}, one thread, model "
            f"{options.model}. What the columns are: see `benchmarks/cost.py`.\n\n"
        )
        options.write.mkdir(parents=True, exist_ok=True)
        (options.write / "cost.md").write_text(about + page, encoding="utf-8")
        kept = json.dumps([asdict(row) for row in rows], indent=1)
        (options.write / "cost.json").write_text(kept, encoding="utf-8")


if __name__ == "__main__":
    main()
