"""The frame half-way between rendered heads, warped along their correspondences, against the truth.

    python -m benchmarks.matching --pairs 8 --write benchmarks/results/matching.json

Decibels between both frames, each through the model's codec, so that what the codec loses does not
count. No density and no denoising: this is the frame that the default path starts from.
"""

from __future__ import annotations

import json
from pathlib import Path
from time import process_time
from typing import Annotated

import cyclopts
import torch
from torch import Tensor

from benchmarks.evidence.pairs import Kind, TruePair, true_pairs
from benchmarks.record import commit, shown, table
from diffusion_geodesics import load_model
from diffusion_geodesics.correspondence import (
    FieldDescent,
    Gate,
    Grid,
    Matcher,
    extract_features,
    warp,
)
from diffusion_geodesics.images import psnr
from diffusion_geodesics.measures import bootstrap_mean
from diffusion_geodesics.models import DiffusionModel
from training.factors import concatenate
from training.portraits import render

MATCHERS = {
    "features on all grids": Matcher(
        descent=FieldDescent(
            grids=(Grid(16, pixels=0.1), Grid(32, pixels=0.3), Grid(64, pixels=0.6), Grid(128))
        ),
        gate=Gate(min_explained=0.25, min_gain=0.0, min_feature_gain=0.08),
    ),
    "default": Matcher(),
}
"""What is compared: the default of earlier versions, and today's."""


def main(
    *,
    pairs: int = 8,
    kinds: Annotated[tuple[Kind, ...], cyclopts.Parameter(consume_multiple=True)] = tuple(Kind),
    write: Path | None = None,
) -> None:
    """Measure, and print means with 95% bootstrap intervals over the pairs of each kind.

    Args:
        pairs: of each kind.
        kinds: of pairs.
        write: file of the figures.
    """
    model = load_model("embedded")
    found: dict[str, dict[str, str]] = {}
    for kind in kinds:
        rows = [measured(model, case) for case in true_pairs(pairs, [kind])]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        columns["gain"] = [row["default"] - row["features on all grids"] for row in rows]
        found[kind.value] = {n: shown(bootstrap_mean(v), digits=4) for n, v in columns.items()}
    print(table(["kind", *found[kinds[0].value]], ([k, *v.values()] for k, v in found.items())))
    if write is not None:
        write.parent.mkdir(parents=True, exist_ok=True)
        about = {"commit": commit(), "pairs": pairs}
        write.write_text(json.dumps({**about, **found}, indent=1, ensure_ascii=False) + "\n")


def measured(model: DiffusionModel, case: TruePair) -> dict[str, float]:
    """Decibels of the frame half-way by each matcher and by cross-fading, and seconds of a core."""
    half, size = torch.tensor([0.5]), (model.native_size, model.native_size)
    images = render(concatenate([case.first, case.last]), model.native_size)
    codec = model.codec(*size)

    def through(image: Tensor) -> Tensor:
        return codec.decode(codec.encode(image)).clamp(0, 1)

    truth = through(render(case.between(half), model.native_size))
    grids = extract_features(
        model.denoiser(*size), codec.encode(images), model.encode_prompt(""), steps=25
    )
    row = {"cross-fade": float(psnr(through(images.mean(0, keepdim=True)), truth))}
    for name, matcher in MATCHERS.items():
        start = process_time()
        matches = matcher.match(images, grids)
        row[f"{name}, s"] = process_time() - start
        row[name] = float(psnr(through(warp(images, matches, half).mean(0)), truth))
    return row


if __name__ == "__main__":
    cyclopts.run(main)
