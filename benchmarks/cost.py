"""Our defaults against the published settings, run by the same code.

For each pair: rows, calls, seconds and TFLOP by stage, the length of both paths under ONE metric
(that of our default settings at the published noise level: the exact score, α·d = 1, on the
sphere, density relative to the mean of both ends), and endpoint PSNR.

    python -m benchmarks.cost --pairs 2 --write benchmarks/results
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.commit import commit
from diffusion_geodesics import Settings, interpolate, load_model
from diffusion_geodesics.apps import Interpolation
from diffusion_geodesics.apps.chart import ChartScore
from diffusion_geodesics.apps.job import prepare
from diffusion_geodesics.diffusion import LevelScore, TextInversion
from diffusion_geodesics.images import load_image
from diffusion_geodesics.length import measure
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.models import DiffusionModel
from training.bank import held_out
from training.factors import caption, phrases
from training.portraits import render

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
STREAM = 11


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
    solver_rows: int
    calls: int
    seconds: float
    tflop: float
    length: float
    ends: float
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


def length(model: DiffusionModel, pair: Pair, done: Interpolation) -> float:
    """The path's length under the metric of the module, in its own noise level and chart."""
    job = prepare(model, *pair.images, replace(done.settings, text_inversion=None))
    settings = done.settings
    timestep = job.denoiser.schedule.timestep(settings.steps, settings.level)
    score = LevelScore(job.denoiser, timestep, job.curve)
    chart = done.chart
    metric = Conformal(ChartScore(score, chart), 1.0 / done.dim, chart.manifold)
    return float(measure(metric, done.path, intervals=64).distance)


def run(model: DiffusionModel, pair: Pair, name: str, settings: Settings) -> Row:
    """One interpolation."""
    first, last = pair.prompts
    done = interpolate(model, *pair.images, replace(settings, prompt_a=first, prompt_b=last))
    total = done.ledger.total
    return Row(
        pair.name,
        name,
        total.rows,
        done.ledger["solve"].rows,
        total.calls,
        total.seconds,
        total.tflop,
        length(model, pair, done),
        min(done.endpoint_psnr),
        "" if done.solution is None else done.solution.result.name,
    )


def variants(text: bool) -> dict[str, Settings]:
    """What is compared."""
    level = Settings.published().level
    found = {
        "ours, default": Settings(),
        f"ours, noise level {level:g}": Settings(level=level, allow_atypical=True),
        "published": Settings.published(),
    }
    if text:
        method = TextInversion.published()
        found["published, with text inversion"] = Settings.published(text_inversion=method)
    return found


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = [
        "| pair | settings | rows | by the solver | calls | TFLOP | seconds | length "
        "| ends, dB | solver |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r.pair} | {r.settings} | {r.rows} | {r.solver_rows} | {r.calls} | {r.tflop:.2f} "
            f"| {r.seconds:.0f} | {r.length:.5g} | {r.ends:.2f} | {r.result} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost")
    parser.add_argument("--pairs", type=int, default=2, help="rendered pairs")
    parser.add_argument("--text", action="store_true", help="also with the paper's text inversion")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--size", type=int, help="edge of the images; the model's own by default")
    parser.add_argument("--write", type=Path, help="folder for cost.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.model)
    rows: list[Row] = []
    for pair in pairs(options.pairs, model.native_size):
        for name, settings in variants(options.text).items():
            rows.append(run(model, pair, name, replace(settings, size=options.size)))
            print(rows[-1], flush=True)
    page = table(rows)
    print(page)
    if options.write:
        about = (
            "# Cost, measured\n\n"
            f"Made by `python -m benchmarks.cost` at commit {commit()}, one thread, model "
            f"{model.id} at {options.size or model.native_size} pixels. *Length*: under one metric "
            "for all (exact score, α·d = 1, on the sphere), at the noise level of the run, so only "
            "runs at one level compare.\n\n"
        )
        options.write.mkdir(parents=True, exist_ok=True)
        (options.write / "cost.md").write_text(about + page, encoding="utf-8")


if __name__ == "__main__":
    main()
