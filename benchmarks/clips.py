"""Are clips near geodesics, and is the truth in between? Rendered clips decide.

For every actor and motion a slow and a fast clip of 17 frames are rendered, inverted to the noise
level and held against the geodesic between their ends, as are the fast clip's frames shuffled and a
random smooth path of its length. And the geodesic between the fast clip's ends, slerp and lerp
are decoded at equal fractions of their lengths and compared with the true rendering at the same
fraction of the clip's.

    python -m benchmarks.clips --actors 10 --write benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.commit import commit
from diffusion_geodesics import load_model
from diffusion_geodesics.apps.analyze import AnalysisSettings, Figures, Variant, bootstrap_mean
from diffusion_geodesics.apps.analyze.curves import arc_length, at_arc_length
from diffusion_geodesics.apps.analyze.domain import SETTLED
from diffusion_geodesics.apps.analyze.ground import Ground
from diffusion_geodesics.apps.analyze.part import Measured, measure_part
from diffusion_geodesics.apps.analyze.summary import shown
from diffusion_geodesics.apps.events import ignore
from diffusion_geodesics.diffusion import LevelScore, invert, sample
from diffusion_geodesics.images import psnr
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.models import DiffusionModel
from training.clips import Law, Motion, RenderedClip, make_clip

FRAMES = 17
DECODED = 5
"""Frames in between that are decoded of every path."""
MEASURES = ("deviation", "length", "residual", "angle", "middle")
ORDER = ("shuffled", "random", "fast", "slow")


@dataclass(frozen=True)
class Row:
    """What was found about one actor and motion.

    - `figures`: measure by name of the curve (`ORDER`) and name of the measure.
    - `truth`: PSNR to the true frames in between, mean over them, by path.
    - `nearness`: distance of each path from the true latents at equal fractions, root mean
      square over the chord.
    - `middle`: log density in the middle of each path less the mean of both ends.
    """

    motion: str
    actor: int
    figures: dict[str, dict[str, float]]
    truth: dict[str, float]
    nearness: dict[str, float]
    middle: dict[str, float]
    rows: int


def figures_of(found: Figures) -> dict[str, float]:
    """Means over the windows (one here)."""
    return {name: float(getattr(found, name).nanmean()) for name in MEASURES}


def run(model: DiffusionModel, actor: int, motion: Motion, settings: AnalysisSettings) -> Row:
    """One actor, one motion."""
    clips = {law.value: make_clip(actor, motion, law, FRAMES) for law in (Law.FAST, Law.SLOW)}
    size = model.native_size
    codec, denoiser = model.codec(size, size), model.denoiser(size, size)
    condition = model.encode_prompt("")
    images = torch.cat([clip.images(size) for clip in clips.values()])
    latents, cost = invert(
        denoiser,
        codec.encode(images).double(),
        condition,
        steps=settings.steps,
        level=settings.level,
        refinements=settings.refinements,
        tolerance=SETTLED,
    )
    timestep = denoiser.schedule.timestep(settings.steps, settings.level)
    sigma = denoiser.schedule.coefficients(timestep)[1]
    alpha = settings.alpha_for(latents.shape[1])
    rows = cost.rows
    figures: dict[str, dict[str, float]] = {}
    fast: tuple[Measured, Tensor] | None = None
    for law, x in zip(clips, latents.split(FRAMES), strict=True):
        sphere = Sphere(float(x.norm(dim=1).square().mean().sqrt()))
        ground = Ground(LevelScore(denoiser, timestep, condition), alpha, sphere, sigma)
        points = sphere.project(x)
        wanted = replace(settings, controls=law == Law.FAST.value)
        found = measure_part(ground, points, wanted, ignore)
        rows += found.rows
        figures[law] = figures_of(found.figures[Variant.CLIP])
        if law == Law.FAST.value:
            figures["shuffled"] = figures_of(found.figures[Variant.SHUFFLED])
            figures["random"] = figures_of(found.figures[Variant.RANDOM])
            fast = found, points
    assert fast is not None
    truth, nearness, spent = in_between(model, clips[Law.FAST.value], *fast, settings)
    middle = {}
    for path in fast[0].paths:
        inside = (path.t > 1 / 3) & (path.t < 2 / 3)
        ends = 0.5 * float(path.log_density[0] + path.log_density[-1])
        middle[path.name] = float(path.log_density[inside].mean()) - ends
    return Row(motion.value, actor, figures, truth, nearness, middle, rows + spent)


def in_between(
    model: DiffusionModel,
    clip: RenderedClip,
    found: Measured,
    points: Tensor,
    settings: AnalysisSettings,
) -> tuple[dict[str, float], dict[str, float], int]:
    """Every path between the ends against the truth at equal fractions of length."""
    size = model.native_size
    fraction = torch.linspace(0, 1, DECODED + 2, dtype=torch.float64)[1:-1]
    arc = arc_length(points)
    position = np.interp((fraction * arc[-1]).numpy(), arc.numpy(), np.arange(len(points)))
    true = clip.truth(torch.from_numpy(position), size)
    curves = torch.stack([p.points for p in found.paths], 1)
    latents = at_arc_length(curves, fraction[:, None].expand(-1, len(found.paths)))
    own = at_arc_length(points[:, None], fraction[:, None])
    apart = (latents - own).norm(dim=2).square().mean(0).sqrt() / (points[-1] - points[0]).norm()
    clean, cost = sample(
        model.denoiser(size, size),
        latents.transpose(0, 1).flatten(0, 1),
        model.encode_prompt(""),
        steps=settings.steps,
        level=settings.level,
    )
    frames = model.codec(size, size).decode(clean).float().split(DECODED)
    names = [p.name for p in found.paths]
    return (
        {n: float(psnr(f, true).mean()) for n, f in zip(names, frames, strict=True)},
        dict(zip(names, apart.tolist(), strict=True)),
        cost.rows,
    )


def wins(rows: Sequence[Row], rival: str, higher: bool) -> str:
    """How often the geodesic is nearer to the truth, with a 95% interval."""
    column = "truth" if higher else "nearness"
    pairs = [
        (getattr(r, column).get("geodesic", math.nan), getattr(r, column)[rival]) for r in rows
    ]
    won = [float(a > b if higher else a < b) for a, b in pairs if math.isfinite(a)]
    gain = bootstrap_mean([(a - b) if higher else (b - a) for a, b in pairs])
    return f"{shown(bootstrap_mean(won))} (by {shown(gain)})"


def table(rows: Sequence[Row]) -> str:
    """Markdown: the order of the measures, the truth in between, density in the middle."""
    groups = {"all": list(rows)}
    groups |= {m.value: [r for r in rows if r.motion == m.value] for m in Motion}
    lines = ["## Order of the curves\n", "Mean and 95% bootstrap interval over clips.\n"]
    lines += ["| clips | measure | " + " | ".join(ORDER) + " |", "|---|---|---|---|---|---|"]
    for group, members in groups.items():
        for name in MEASURES:
            cells = [shown(bootstrap_mean([r.figures[c][name] for r in members])) for c in ORDER]
            lines.append(f"| {group} ({len(members)}) | {name} | " + " | ".join(cells) + " |")
    lines += ["", "## The truth in between\n"]
    lines += [
        "| clips | geodesic, dB | slerp, dB | lerp, dB | pixels: wins against slerp | against lerp "
        "| latents: wins against slerp | against lerp |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for group, members in groups.items():
        means = [
            shown(bootstrap_mean([r.truth.get(p, math.nan) for r in members]))
            for p in ("geodesic", "slerp", "lerp")
        ]
        won = [wins(members, p, higher) for higher in (True, False) for p in ("slerp", "lerp")]
        lines.append(f"| {group} ({len(members)}) | " + " | ".join([*means, *won]) + " |")
    lines += ["", "## Log density in the middle, less the mean of both ends, in nats\n"]
    lines += ["| clips | geodesic | slerp | lerp |", "|---|---|---|---|"]
    for group, members in groups.items():
        cells = [
            shown(bootstrap_mean([r.middle.get(p, math.nan) for r in members]))
            for p in ("geodesic", "slerp", "lerp")
        ]
        lines.append(f"| {group} ({len(members)}) | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--actors", type=int, default=10, help="three motions each")
    parser.add_argument("--first", type=int, default=0, help="number of the first actor")
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--level", type=float, default=0.4)
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--write", type=Path, help="folder for clips.md and clips.json")
    parser.add_argument("--keep", type=Path, help="file of rows to resume from and add to")
    o = parser.parse_args()
    settings = AnalysisSettings(window=FRAMES, level=o.level, strength=o.strength)
    measured_at = commit()
    model = load_model(o.model)
    kept = o.keep.read_text(encoding="utf-8").splitlines() if o.keep and o.keep.exists() else []
    rows = [Row(**json.loads(line)) for line in kept]
    started = time.perf_counter()
    for actor in range(o.first, o.first + o.actors):
        for motion in Motion:
            if any(r.actor == actor and r.motion == motion.value for r in rows):
                continue
            rows.append(run(model, actor, motion, settings))
            if o.keep:
                with o.keep.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(rows[-1])) + "\n")
            print(f"{actor} {motion.value} {time.perf_counter() - started:.0f} s", flush=True)
    found = table(rows)
    print(found)
    if o.write:
        o.write.mkdir(parents=True, exist_ok=True)
        about = {
            "commit": measured_at,
            "model": model.hash,
            "clips": len(rows),
            "frames": FRAMES,
            "settings": settings.as_dict(),
            "network rows": sum(r.rows for r in rows),
        }
        head = (
            "# Clips against geodesics\n\n"
            f"Made by `python -m benchmarks.clips` at commit {measured_at}: {len(rows)} rendered "
            f"motions of {FRAMES} frames, strength {o.strength:g}, level {o.level:g}. What the "
            "columns mean: [docs](../../docs/clips.md).\n\n"
        )
        (o.write / "clips.md").write_text(head + found, encoding="utf-8")
        data = {"about": about, "rows": [asdict(r) for r in rows]}
        text = json.dumps(data, indent=1, default=str) + "\n"
        (o.write / "clips.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
