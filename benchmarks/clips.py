"""Are clips near geodesics, and is the truth in between? Rendered clips decide.

For every actor and motion a slow and a fast clip of 17 frames are rendered, inverted to the noise
level and held against the geodesic between their ends, as are the fast clip's frames shuffled and a
random smooth path of its length. And the geodesic between the fast clip's ends, slerp and lerp
are decoded at equal fractions of their lengths and compared with the true rendering at the same
fraction of the clip's.

    python -m benchmarks.clips --actors 10 --write benchmarks/results
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import cyclopts
import numpy as np
import torch
from torch import Tensor

from benchmarks.record import add_row, commit, mean, read_rows, table, write_page
from diffusion_geodesics import load_model
from diffusion_geodesics.images import psnr
from diffusion_geodesics.latents.decode import decode
from diffusion_geodesics.latents.encode import ModelParts, carry_up
from diffusion_geodesics.latents.geometry import level_geometry
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.video.analyze import SETTLED
from diffusion_geodesics.video.controls import Variant
from diffusion_geodesics.video.curves import arc_length, at_arc_length
from diffusion_geodesics.video.geodesics import EndsPath
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.video.shot import measure_shot
from diffusion_geodesics.video.statistics import Statistics
from training.clips import Law, Motion, RenderedClip, make_clip

FRAMES = 17
DECODED = 5
"""Frames in between that are decoded of every path."""
MEASURES = ("deviation", "length", "residual", "angle", "middle")
ORDER = ("shuffled", "random", "fast", "slow")
PATHS = ("geodesic", "slerp", "lerp")
SETTINGS = VideoSettings()


@dataclass(frozen=True)
class Row:
    """What was found about one actor and motion.

    Args:
        motion, actor: which.
        figures: measure by name of the curve (`ORDER`) and name of the measure.
        truth: PSNR to the true frames in between, mean over them, by path.
        nearness: distance of each path from the true latents at equal fractions, root mean
            square over the chord.
        middle: log density in the middle of each path less the mean of both ends.
        nfe: network evaluations.
    """

    motion: str
    actor: int
    figures: dict[str, dict[str, float]]
    truth: dict[str, float]
    nearness: dict[str, float]
    middle: dict[str, float]
    nfe: int


def figures_of(found: Statistics) -> dict[str, float]:
    """Means over the windows (one here)."""
    return {name: float(getattr(found, name).nanmean()) for name in MEASURES}


def measure(model: DiffusionModel, actor: int, motion: Motion, settings: VideoSettings) -> Row:
    """One actor, one motion."""
    run, size = Run(), model.native_size
    parts = ModelParts.of(run, model, (size, size))
    condition, level = model.encode_prompt(""), parts.level(settings.inversion)
    fast, slow = (make_clip(actor, motion, law, FRAMES) for law in (Law.FAST, Law.SLOW))
    clean = parts.codec.encode(torch.cat([fast.images(size), slow.images(size)])).double()
    latents = carry_up(parts, clean, condition, settings.inversion, tolerance=SETTLED)
    alpha = settings.metric.alpha_for(latents.shape[1])
    geometry = level_geometry(parts, condition, level, alpha)
    points, found = [], []
    for x, controls in zip(latents.split(FRAMES), (True, False), strict=True):
        sphere = Sphere(float(x.norm(dim=1).square().mean().sqrt()))
        points.append(sphere.project(x))
        chosen = settings.updated(controls=controls, window=FRAMES)
        found.append(measure_shot(run, geometry, sphere, points[-1], chosen))
    figures = {
        "fast": figures_of(found[0].statistics[Variant.CLIP]),
        "shuffled": figures_of(found[0].statistics[Variant.SHUFFLED]),
        "random": figures_of(found[0].statistics[Variant.RANDOM]),
        "slow": figures_of(found[1].statistics[Variant.CLIP]),
    }
    paths = found[0].paths
    true, own, there = in_between(fast, points[0], paths, size)
    shown = decode(run, parts, settings.inversion, there.transpose(0, 1).flatten(0, 1), condition)
    frames = shown.float().split(DECODED)
    chord = (points[0][-1] - points[0][0]).norm()
    apart = (there - own).norm(dim=2).square().mean(0).sqrt() / chord
    middle = {}
    for path in paths:
        inside = (path.t > 1 / 3) & (path.t < 2 / 3)
        ends = 0.5 * float(path.log_density[0] + path.log_density[-1])
        middle[path.name] = float(path.log_density[inside].mean()) - ends
    names = [p.name for p in paths]
    truth = {n: float(psnr(f, true).mean()) for n, f in zip(names, frames, strict=True)}
    nearness = dict(zip(names, apart.tolist(), strict=True))
    return Row(motion.value, actor, figures, truth, nearness, middle, run.meter.read().nfe)


def in_between(
    clip: RenderedClip, points: Tensor, paths: Sequence[EndsPath], size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """At equal fractions of length: true images, the clip's latents (fractions, 1, dim), and those
    of the paths (fractions, paths, dim)."""
    fraction = torch.linspace(0, 1, DECODED + 2, dtype=torch.float64)[1:-1]
    arc = arc_length(points)
    position = np.interp((fraction * arc[-1]).numpy(), arc.numpy(), np.arange(len(points)))
    curves = torch.stack([p.points for p in paths], 1)
    return (
        clip.truth(torch.from_numpy(position), size),
        at_arc_length(points[:, None], fraction[:, None]),
        at_arc_length(curves, fraction[:, None].expand(-1, len(paths))),
    )


def wins(rows: Sequence[Row], baseline: str, higher: bool) -> str:
    """How often the geodesic is nearer to the truth, with a 95% interval."""
    column, sign = ("truth", 1) if higher else ("nearness", -1)
    gains = [
        sign * (getattr(r, column).get("geodesic", math.nan) - getattr(r, column)[baseline])
        for r in rows
    ]
    return f"{mean([float(g > 0) for g in gains if math.isfinite(g)])} (by {mean(gains)})"


def page(rows: Sequence[Row]) -> str:
    """Markdown: the order of the measures, the truth in between, density in the middle."""
    groups = {f"all ({len(rows)})": list(rows)}
    for motion in Motion:
        members = [r for r in rows if r.motion == motion.value]
        groups[f"{motion.value} ({len(members)})"] = members
    order, truths, middles = [], [], []
    for group, some in groups.items():
        for name in MEASURES:
            cells = [mean([r.figures[c][name] for r in some]) for c in ORDER]
            order.append([group, name, *cells])
        means = [mean([r.truth.get(p, math.nan) for r in some]) for p in PATHS]
        won = [wins(some, p, higher) for higher in (True, False) for p in PATHS[1:]]
        truths.append([group, *means, *won])
        middles.append([group, *(mean([r.middle.get(p, math.nan) for r in some]) for p in PATHS)])
    head = (
        "clips", "geodesic, dB", "slerp, dB", "lerp, dB", "pixels: wins against slerp",
        "against lerp", "latents: wins against slerp", "against lerp",
    )  # fmt: skip
    return "\n\n".join(
        [
            "## Order of the curves\n\nMean and 95% bootstrap interval over clips.",
            table(("clips", "measure", *ORDER), order, words=6),
            "## The truth in between",
            table(head, truths, words=8),
            "## Log density in the middle, less the mean of both ends, in nats",
            table(("clips", *PATHS), middles, words=4),
        ]
    )


def main(
    *,
    actors: int = 10,
    first: int = 0,
    model: str = "embedded",
    settings: Annotated[VideoSettings, cyclopts.Parameter("*")] = SETTINGS,
    write: Path | None = None,
    keep: Path | None = None,
) -> None:
    """Measure rendered clips.

    Args:
        actors: three motions each.
        first: number of the first actor.
        model: name or folder.
        settings: of the analysis, but for windows and controls.
        write: folder for clips.md and clips.json.
        keep: file of rows to resume from and add to.
    """
    measured_at, loaded = commit(), load_model(model)
    rows = [Row(**row) for row in read_rows(keep)]
    for actor in range(first, first + actors):
        for motion in Motion:
            if any(r.actor == actor and r.motion == motion.value for r in rows):
                continue
            rows.append(measure(loaded, actor, motion, settings))
            add_row(keep, asdict(rows[-1]))
            print(actor, motion.value, rows[-1].nfe, flush=True)
    head = (
        "Clips against geodesics\n\n"
        f"Made by `python -m benchmarks.clips` at commit {measured_at}: {len(rows)} rendered "
        f"motions of {FRAMES} frames, strength {settings.metric.strength:g}, level "
        f"{settings.inversion.level:g}. What the "
        "columns mean: [docs](../../docs/clips.md)."
    )
    about = {
        "commit": measured_at,
        "model": loaded.hash,
        "settings": settings.as_nested(),
        "nfe": sum(r.nfe for r in rows),
    }
    data = {"about": about, "rows": [asdict(r) for r in rows]}
    write_page(write, "clips", head, page(rows), data)


if __name__ == "__main__":
    cyclopts.run(main)
