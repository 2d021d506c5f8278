"""Our defaults against the published settings, run by the same code.

For each pair: network evaluations, calls, seconds and TFLOP, endpoint PSNR, and the length of every
path under two metrics, the same for all:

- *published*: α = 0.002 on their estimate ½(ε₋ - ε_c), averaged over three fixed time steps of
  their window, which is what their random one estimates;
- *exact*: α·d = 1 on the exact score of p(x | prompt).

Lengths are divided by slerp's between the same ends. Runs on different grids have slightly
different ends, so only such ratios compare; `published` and `published, our solver` share theirs.
Geodesics are those of the shell: slerp is shortest in no moving frame. *Film* leaves out the
evaluations of measuring and of the comparison film, which the official code lacks.

With ``--model sd21`` it is Stable Diffusion 2.1's architecture with random weights, on an
accelerator: only costs and peak memory mean something then, and a random network's geodesic may
take more or fewer steps than a trained one's.

    python -m benchmarks.cost --pairs 2 --write benchmarks/results
    python -m benchmarks.cost --model sd21 --pairs 0 --device cuda --dtype float16
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import cyclopts
import torch
from torch import Tensor

from benchmarks.record import ROOT, commit, table, write_page
from diffusion_geodesics import interpolate, load_model
from diffusion_geodesics.diffusion import TextInversion
from diffusion_geodesics.images import load_image
from diffusion_geodesics.interpolation.paths import coordinates_between
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.interpolation.settings import PUBLISHED_NEGATIVE, InterpolationSettings
from diffusion_geodesics.latents.encode import encode, invert
from diffusion_geodesics.latents.geometry import path_geometry
from diffusion_geodesics.latents.settings import Metric, ScoreKind, SolverName
from diffusion_geodesics.length import measure
from diffusion_geodesics.models import DiffusionModel, StableDiffusionModel
from diffusion_geodesics.path import chord
from diffusion_geodesics.runtime.run import Run
from training.bank import held_out
from training.factors import caption, phrases
from training.portraits import render

EXAMPLES = ROOT / "examples"
STREAM = 11
THEIRS = InterpolationSettings.preset("published", prompt="a portrait")
PUBLISHED = Metric(score=ScoreKind.PUBLISHED, alpha=THEIRS.metric.alpha)
"""The published metric as a function of the point."""
EXACT = Metric(strength=1.0)
ENDS = torch.tensor([0.0, 1.0], dtype=torch.float64)
Listed = cyclopts.Parameter(consume_multiple=True)


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
    nfe: int
    film_nfe: int
    solver_nfe: int
    batches: int
    seconds: float
    tflop: float
    published: float
    exact: float
    ends: float
    codec: float
    result: str
    gigabytes: float | None


def load(name: str, device: str, dtype: str) -> DiffusionModel:
    """A model by its name or folder, or Stable Diffusion 2.1's architecture."""
    if name != "sd21":
        return load_model(name, device=device)
    from tests.sd21 import random_sd21

    with TemporaryDirectory() as folder:
        pipeline = random_sd21(Path(folder), 512, getattr(torch, dtype)).to(device)
    return StableDiffusionModel.from_pipeline(pipeline)


def pairs(count: int, size: int) -> list[Pair]:
    """The example portraits, and rendered heads that the model was not trained on."""
    a, b = (load_image(EXAMPLES / f"portrait_{end}.png") for end in "ab")
    found = [Pair("examples", (a, b), ("a portrait", "a portrait"))]
    heads = held_out(2 * count, STREAM)
    for k in range(count):
        first, last = heads.select(k), heads.select(count + k)
        a, b = (render(head, size)[0].clamp(0, 1) for head in (first, last))
        said = caption(phrases(first)[0]), caption(phrases(last)[0])
        found.append(Pair(f"rendered {k + 1}", (a, b), said))
    return found


def relative_lengths(
    model: DiffusionModel, done: InterpolationResult, metrics: tuple[Metric, ...]
) -> list[float]:
    """The path's length over slerp's in some metrics, at its own noise level."""
    run, settings, pair = Run(), done.settings, [(0, 1)]
    prompts = settings.prompts.model_copy(update={"negative": PUBLISHED_NEGATIVE})
    noised = invert(run, encode(run, model, done.pictures, prompts), settings.inversion)
    coordinates = coordinates_between(noised, pair, flat=settings.metric.flat)
    (segment,) = done.segments
    own = segment.profile.path
    start, end = own.path(ENDS)
    slerp = chord(start, end, own.coordinates.manifold)
    found = []
    for metric in metrics:
        geometry = path_geometry(noised, metric, settings.solve.seed, pair)
        connection = geometry.connection(coordinates.select(0))
        lengths = [float(measure(connection, p, intervals=32).distance) for p in (own.path, slerp)]
        found.append(lengths[0] / lengths[1])
    return found


def run(model: DiffusionModel, pair: Pair, name: str, settings: InterpolationSettings) -> Row:
    """One interpolation."""
    on_gpu = model.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    done = interpolate(model, pair.images, settings, prompt=pair.prompts)
    peak = torch.cuda.max_memory_allocated() / 2**30 if on_gpu else None
    costs, total, (segment,) = done.costs, done.costs.total, done.segments
    published, exact = relative_lengths(model, done, (PUBLISHED, EXACT))
    return Row(
        pair.name,
        name,
        total.nfe,
        total.nfe - costs["measure"].nfe - costs["compare"].nfe,
        costs["solve"].nfe,
        total.batches,
        total.seconds,
        total.tflop,
        published,
        exact,
        min(done.keyframe_psnr),
        min(done.codec_psnr),
        "" if segment.solution is None else segment.solution.result.name,
        peak,
    )


def variants(text: bool) -> dict[str, InterpolationSettings]:
    """What is compared."""
    ours = InterpolationSettings.preset("geodesic", strength=1.0)
    full = THEIRS.updated(solver=SolverName.PUBLISHED_FULL)
    there = {"level": THEIRS.inversion.level, "allow_atypical": True}
    fixed = {"score": ScoreKind.PUBLISHED, "alpha": THEIRS.metric.alpha, "window_nodes": 1}
    prompts = {"prompt": "a portrait", "negative": PUBLISHED_NEGATIVE}
    found = {
        "ours, default": ours,
        "published, all steps": full,
        "ours, at their noise level": ours.updated(**there),
        "ours, in their metric": ours.updated(**there, **fixed, **prompts),
        "published, our solver": THEIRS.updated(solver=SolverName.PRECONDITIONED, **fixed),
        "published, as its code runs": THEIRS,
    }
    if text:
        method = TextInversion.published()
        found["published, all steps, text inversion"] = full.updated(
            invert_text=method.steps, text_check_every=method.check_every
        )
    return found


def page(rows: list[Row]) -> str:
    """Markdown."""
    head = (
        "pair", "settings", "NFE", "film", "solver", "calls", "TFLOP", "seconds",
        "published length / slerp's", "exact length / slerp's", "ends, dB", "codec, dB", "result",
        "peak GiB",
    )  # fmt: skip
    cells = (
        [
            r.pair, r.settings, str(r.nfe), str(r.film_nfe), str(r.solver_nfe), str(r.batches),
            f"{r.tflop:.2f}", f"{r.seconds:.0f}", f"{r.published:.6f}", f"{r.exact:.6f}",
            f"{r.ends:.2f}", f"{r.codec:.2f}", r.result,
            "–" if r.gigabytes is None else f"{r.gigabytes:.1f}",
        ]
        for r in rows
    )  # fmt: skip
    return table(head, cells, words=2)


def main(
    *,
    pairs_of_heads: Annotated[int, cyclopts.Parameter("--pairs")] = 2,
    only: Annotated[tuple[str, ...], Listed] = (),
    settings: Annotated[tuple[str, ...], Listed] = (),
    text: bool = False,
    model: str = "embedded",
    device: str = "cpu",
    dtype: Literal["float16", "bfloat16", "float32"] = "float32",
    size: int | None = None,
    steps: int | None = None,
    write: Path | None = None,
) -> None:
    """Compare costs.

    Args:
        pairs_of_heads: rendered pairs.
        only: names of pairs to run, such as "rendered 1"; all by default.
        settings: names of settings to run; all by default.
        text: also with the paper's text inversion.
        model: name or folder, or sd21.
        device: cpu or cuda.
        dtype: precision of sd21.
        size: edge of the images; the model's own by default.
        steps: sampling steps, instead of those of each setting.
        write: folder for cost.md and cost.json.
    """
    torch.set_num_threads(1)
    loaded, rows = load(model, device, dtype), []
    changes: dict[str, Any] = {"size": size, "steps": steps, "allow_atypical": model == "sd21"}
    changes = {name: value for name, value in changes.items() if value}
    for pair in pairs(pairs_of_heads, loaded.native_size):
        for name, chosen in variants(text).items():
            if (only and pair.name not in only) or (settings and name not in settings):
                continue
            rows.append(run(loaded, pair, name, chosen.updated(**changes)))
            print(rows[-1], flush=True)
    head = (
        "Cost, measured\n\n"
        f"Made by `python -m benchmarks.cost` at commit {commit()}, one thread, model {model}. "
        "What the columns are: see `benchmarks/cost.py`."
    )
    write_page(write, "cost", head, page(rows), [asdict(row) for row in rows])


if __name__ == "__main__":
    cyclopts.run(main)
