"""Which noise level, strength and path? Rendered pairs with known in-between images decide.

For heads that differ in one thing (a turn of 60 degrees, an expression) or in everything, the true
in-between renderings are known. Every path is decoded at frames of equal perceptual step and
compared with the truth at the same fraction of ITS perceptual length, so that pacing alone cannot
win. Reported: PSNR to the truth at interior frames, wins against slerp (same level, same
conditions), sharpness relative to the truth, the least noise energy, and what inversion costs at
the ends.

    python -m benchmarks.defaults --pairs 6 --write benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from diffusion_geodesics import Estimate, Family, Settings, interpolate, load_model
from diffusion_geodesics.apps.job import prepare
from diffusion_geodesics.images import psnr
from diffusion_geodesics.models import DiffusionModel
from training.bank import held_out
from training.factors import Factors, caption, phrases
from training.portraits import render

FRAMES = 9
STREAM = 7


@dataclass(frozen=True)
class Pair:
    """Two heads, and a dense film of the truth between them."""

    kind: str
    first: Factors
    last: Factors


@dataclass(frozen=True)
class Variant:
    """One way of interpolating."""

    name: str
    settings: Settings
    prompted: bool = False


@dataclass(frozen=True)
class Row:
    """What one variant did on one pair."""

    kind: str
    level: float
    variant: str
    truth: float
    sharpness: float
    energy: float
    end_loss: float
    rows: int
    solver_rows: int
    result: str


def pairs(count: int) -> list[Pair]:
    """Held-out heads: turned, changing expression, and unlike each other."""
    heads = held_out(2 * count, STREAM)
    found: list[Pair] = []
    for i in range(count):
        head, other = heads.select(i), heads.select(count + i)
        left, right = math.radians(-30), math.radians(30)
        found.append(Pair("turn", head.replace(yaw=left), head.replace(yaw=right)))
        calm = head.replace(smile=-0.9, mouth_open=0.0, eye_open=0.5)
        glad = head.replace(smile=0.9, mouth_open=0.6, eye_open=1.0)
        found.append(Pair("expression", calm, glad))
        found.append(Pair("all factors", head, other))
    return found


def variants() -> list[Variant]:
    """Paths without a prompt, then with the captions of both ends."""
    base = Settings(frames=FRAMES, carried=False, compare=False, allow_atypical=True)

    def geodesic(strength: float, **changes: object) -> Settings:
        return replace(base, strength=strength, **changes)  # type: ignore[arg-type]

    return [
        Variant("slerp", replace(base, family=Family.SLERP)),
        Variant("lerp", replace(base, family=Family.LERP)),
        Variant("hlerp", replace(base, family=Family.HLERP)),
        Variant("geodesic 1", geodesic(1.0)),
        Variant("geodesic 3", geodesic(3.0)),
        Variant("geodesic 3 flat", geodesic(3.0, flat=True)),
        Variant("slerp, prompts", replace(base, family=Family.SLERP), True),
        Variant("slerp, prompts, bump 2", replace(base, family=Family.SLERP), True),
        Variant("geodesic 1, prompts", geodesic(1.0), True),
        Variant("geodesic 3, ratio", geodesic(3.0), True),
        Variant("geodesic 3, ratio, bump 2", geodesic(3.0), True),
    ]


def prompted(variant: Variant, pair: Pair) -> Settings:
    """The variant's settings, with the captions of the pair where it wants them."""
    if not variant.prompted:
        return variant.settings
    first, last = (caption(phrases(f)[0]) for f in (pair.first, pair.last))
    return replace(
        variant.settings,
        prompt_a=first,
        prompt_b=last,
        guidance=2.0 if "bump" in variant.name else 1.0,
        estimate=Estimate.RATIO if "ratio" in variant.name else Estimate.LEVEL,
    )


def truth(model: DiffusionModel, pair: Pair, settings: Settings) -> Tensor:
    """True in-between renderings at equal steps of the autoencoder's latents."""
    t = torch.linspace(0, 1, 33)
    dense = render(
        pair.first.select([0] * 33).interpolate(pair.last.select([0] * 33), t), model.native_size
    )
    latents = prepare(model, dense[0], dense[-1], settings).codec.encode(dense)
    walked = np.concatenate([[0.0], latents.diff(dim=0).norm(dim=1).cpu().numpy().cumsum()])
    at = np.interp(np.linspace(0, walked[-1], FRAMES), walked, t.numpy())
    moments = torch.from_numpy(at).float()
    return render(
        pair.first.select([0] * FRAMES).interpolate(pair.last.select([0] * FRAMES), moments),
        model.native_size,
    )


def sharpness(images: Tensor) -> float:
    """Mean absolute difference of neighbouring pixels."""
    return float(images.diff(dim=-1).abs().mean() + images.diff(dim=-2).abs().mean())


def run(model: DiffusionModel, pair: Pair, level: float, variant: Variant) -> Row:
    """Interpolate and compare with the truth."""
    settings = replace(prompted(variant, pair), level=level)
    true = truth(model, pair, settings)
    morph = interpolate(model, true[0], true[-1], settings)
    frames = morph.frames.float().cpu()
    loss = np.mean(np.subtract(morph.codec_psnr, morph.endpoint_psnr))
    return Row(
        pair.kind,
        level,
        variant.name,
        float(psnr(frames[1:-1], true[1:-1]).mean()),
        sharpness(frames[1:-1]) / sharpness(true[1:-1]),
        morph.tracks[0].least_energy,
        float(loss),
        morph.ledger.total.rows,
        morph.ledger["solve"].rows,
        "" if morph.solution is None else morph.solution.result.name,
    )


def summary(rows: list[Row]) -> str:
    """A Markdown table over kinds, levels and variants."""
    groups: dict[tuple[str, float, str], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.kind, row.level, row.variant].append(row)
    lines = [
        "| pairs | level | path | truth, dB | wins against slerp | sharpness | noise energy "
        "| ends lose, dB | solver rows |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (kind, level, variant), group in groups.items():
        rival = groups.get((kind, level, "slerp"), [])
        wins = [a.truth > b.truth for a, b in zip(group, rival, strict=False)]
        share = f"{sum(wins)}/{len(wins)}" if wins and variant != "slerp" else ""

        def mean(name: str, group: list[Row] = group) -> float:
            return float(np.mean([getattr(r, name) for r in group]))

        lines.append(
            f"| {kind} | {level:g} | {variant} | {mean('truth'):.2f} | {share} "
            f"| {mean('sharpness'):.2f} | {mean('energy'):.2f} | {mean('end_loss'):.2f} "
            f"| {mean('solver_rows'):.0f} |"
        )
    return "\n".join(lines) + "\n"


def measure_all(
    model: DiffusionModel, levels: list[float], cases: list[Pair], chosen: list[Variant]
) -> list[Row]:
    """Every variant on every pair at every level."""
    rows: list[Row] = []
    started = time.perf_counter()
    for level in levels:
        for number, pair in enumerate(cases):
            rows += [run(model, pair, level, variant) for variant in chosen]
            seconds = time.perf_counter() - started
            print(f"level {level:g} pair {number} {seconds:.0f} s", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--pairs", type=int, default=6, help="pairs of each kind")
    parser.add_argument("--levels", type=float, nargs="+", default=[0.2, 0.3, 0.4, 0.6])
    parser.add_argument("--only", nargs="*", help="names of the variants to run")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--write", type=Path, help="folder for defaults.md and defaults.json")
    parser.add_argument("--join", type=Path, nargs="+", help="only join defaults.json of parts")
    o = parser.parse_args()
    if o.join:
        parts = [json.loads(part.read_text(encoding="utf-8")) for part in o.join]
        digest, rows = parts[0]["model"], [Row(**r) for part in parts for r in part["rows"]]
    else:
        model = load_model(o.model)
        chosen = [v for v in variants() if not o.only or v.name in o.only]
        digest, rows = model.hash, measure_all(model, o.levels, pairs(o.pairs), chosen)
    table = summary(rows)
    print(table)
    if o.write:
        o.write.mkdir(parents=True, exist_ok=True)
        (o.write / "defaults.md").write_text(table, encoding="utf-8")
        found = {"model": digest, "frames": FRAMES, "rows": [asdict(r) for r in rows]}
        (o.write / "defaults.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
