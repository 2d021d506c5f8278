"""How far the film of `--preset draft` is from that of the defaults, and what either costs.

    python -m benchmarks.draft --pairs 4 --write benchmarks/results/draft.json

Decibels between frames at equal places of both films, the images themselves left out; for scale,
those between slerp's film and the defaults', with the steps of the draft.
"""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time

import cyclopts
import torch

from benchmarks.evidence.pairs import Kind, TruePair, true_pairs
from benchmarks.record import commit, shown, table
from diffusion_geodesics import interpolate, load_model
from diffusion_geodesics.images import psnr
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.measures import bootstrap_mean
from diffusion_geodesics.models import DiffusionModel
from training.factors import concatenate
from training.portraits import render

DRAFT = InterpolationSettings.preset("draft")


def main(*, pairs: int = 4, write: Path | None = None) -> None:
    """Measure, and print means with 95% bootstrap intervals over the pairs of each kind.

    Args:
        pairs: rendered heads of each kind.
        write: file of the figures.
    """
    model = load_model("embedded")
    found: dict[str, dict[str, str]] = {}
    for kind in Kind:
        rows = [measured(model, case) for case in true_pairs(pairs, [kind])]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        found[kind.value] = {n: shown(bootstrap_mean(v)) for n, v in columns.items()}
    print(table(["kind", *found[Kind.ALL.value]], ([k, *v.values()] for k, v in found.items())))
    if write is not None:
        write.parent.mkdir(parents=True, exist_ok=True)
        about = {"commit": commit(), "pairs": pairs}
        write.write_text(json.dumps({**about, **found}, indent=1, ensure_ascii=False) + "\n")


def measured(model: DiffusionModel, case: TruePair) -> dict[str, float]:
    """Decibels, network evaluations and seconds of a core for one pair."""
    images = list(render(concatenate([case.first, case.last]), model.native_size))
    ways = {
        "defaults": InterpolationSettings.of(frames=DRAFT.film.frames, film_only=True),
        "draft": DRAFT,
        "slerp": InterpolationSettings.of(path="slerp", frames=9, steps=10, film_only=True),
    }
    films: dict[str, torch.Tensor] = {}
    row: dict[str, float] = {}
    for name, settings in ways.items():
        start = process_time()
        film = interpolate(model, images, settings)
        row[f"{name}, s"] = process_time() - start
        row[f"{name}, NFE"] = float(film.costs.total.nfe)
        films[name] = film.frames
    for name in ("draft", "slerp"):
        row[f"{name}, dB"] = float(psnr(films[name], films["defaults"])[1:-1].mean())
    return row


if __name__ == "__main__":
    cyclopts.run(main)
