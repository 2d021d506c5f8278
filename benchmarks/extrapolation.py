"""Can a ray foretell a clip? The next frames of rendered clips from the first ones.

Of every window the first frames are inverted to the noise level, a velocity is fitted to their
latents, and the next frames are predicted: by repeating the last one, by going straight on in
clean latents, in flat space and on the shell, and by density rays with and without remedies.
Predictions are decoded and compared with the true renderings.

    python -m benchmarks.extrapolation --write benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.commit import commit
from benchmarks.ssim import ssim
from diffusion_geodesics import load_model
from diffusion_geodesics.apps.analyze import bootstrap_mean
from diffusion_geodesics.apps.analyze.domain import SETTLED
from diffusion_geodesics.apps.analyze.summary import shown
from diffusion_geodesics.apps.events import ignore
from diffusion_geodesics.apps.extrapolate import (
    Ascent,
    ClipVelocity,
    ExtrapolationSettings,
    Launch,
    Remedies,
    Terrain,
    march,
)
from diffusion_geodesics.apps.extrapolate.scene import Pictures, Scene
from diffusion_geodesics.diffusion import Cost, LevelScore, invert, sample
from diffusion_geodesics.images import psnr
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.models import DiffusionModel
from training.clips import Law, Motion, make_clip

KNOWN, AHEAD = 5, 4
"""Frames that are given, and frames that are foretold."""
JUDGED = (1, 4)
"""Of the foretold frames, those that are decoded and compared."""
STARTS = (0, 4, 8)
"""First frames of the windows of a clip of 17 frames."""
METHODS = (
    "repeat the last frame",
    "repeat it (codec)",
    "linear, clean latents",
    "linear, flat",
    "great circle",
    "great circle, parabola",
    "ray, strength 1",
    "ray, strength 10",
    "ray, ascent",
    "truth (codec)",
)


@dataclass(frozen=True)
class Row:
    """One prediction of one frame: figures by method.

    Args:
        clip, start, ahead: which frame.
        psnr: in dB; ssim: up to 1.
        latent: distance to the true latent, over that of the last known frame's latent.
        growth: growth factor of the ray of strength 1.
    """

    clip: str
    law: str
    start: int
    ahead: int
    psnr: dict[str, float]
    ssim: dict[str, float]
    latent: dict[str, float]
    growth: float


def run(
    model: DiffusionModel, actor: int, motion: Motion, law: Law, settings: ExtrapolationSettings
) -> tuple[list[Row], int]:
    """All windows of one clip, and the network rows spent."""
    clip = make_clip(actor, motion, law, STARTS[-1] + KNOWN + AHEAD)
    size = model.native_size
    images = clip.images(size)
    codec, denoiser = model.codec(size, size), model.denoiser(size, size)
    condition = model.encode_prompt("")
    clean = codec.encode(images).double()
    latents, cost = invert(
        denoiser,
        clean,
        condition,
        steps=settings.steps,
        level=settings.level,
        refinements=settings.refinements,
        tolerance=SETTLED,
    )
    timestep = denoiser.schedule.timestep(settings.steps, settings.level)
    terrain = Terrain(
        LevelScore(denoiser, timestep, condition),
        settings.alpha_for(latents.shape[1]),
        denoiser.schedule.coefficients(timestep)[1],
    )
    rows, spent = [], cost.rows
    for start in STARTS:
        known = slice(start, start + KNOWN)
        scene = Scene(
            Pictures(images[known], ("",) * KNOWN, ()),
            latents[known],
            codec,
            denoiser,
            timestep,
            terrain,
            settings,
            model.encode_prompt,
            torch.zeros(KNOWN),
            Cost(),
            ignore,
        )
        guesses, growth, more = predictions(scene)
        straight = _line(clean[known])
        last = start + KNOWN - 1
        names = list(guesses)
        wanted = [x[k] for x in guesses.values() for k in JUDGED]
        wanted += [latents[last], *(latents[last + k] for k in JUDGED)]
        found, cost = sample(
            denoiser, torch.stack(wanted), condition, steps=settings.steps, level=settings.level
        )
        spent += more + cost.rows
        extra = torch.stack([clean[last] + k * straight for k in JUDGED]).to(found)
        decoded = codec.decode(torch.cat([found, extra])).float().cpu().clamp(0, 1)
        for place, k in enumerate(JUDGED):
            count = len(names) * len(JUDGED)
            frames = {n: decoded[len(JUDGED) * i + place] for i, n in enumerate(names)}
            frames["repeat the last frame"] = images[last]
            frames["repeat it (codec)"] = decoded[count]
            frames["truth (codec)"] = decoded[count + 1 + place]
            frames["linear, clean latents"] = decoded[count + 1 + len(JUDGED) + place]
            truth, there = images[last + k], latents[last + k]
            apart = float((there - latents[last]).norm())
            own = {n: float((x[k] - there).norm()) / apart for n, x in guesses.items()}
            own |= {"repeat the last frame": 1.0, "repeat it (codec)": 1.0}
            rows.append(
                Row(
                    clip.name,
                    law.value,
                    start,
                    k,
                    {n: float(psnr(frames[n], truth)) for n in METHODS},
                    {n: float(ssim(frames[n][None], truth[None])[0]) for n in METHODS},
                    own,
                    growth,
                )
            )
    return rows, spent


def predictions(scene: Scene) -> tuple[dict[str, Tensor], float, int]:
    """Latents of the frames ahead (index 0 is the last known frame), the growth factor of the
    ray, and the score evaluations spent."""
    settings, terrain = scene.settings, scene.terrain
    launch = ClipVelocity(KNOWN).launch(scene)
    bent = ClipVelocity(KNOWN, bend=True).launch(scene)
    flat = ClipVelocity(KNOWN).launch(replace(scene, settings=replace(settings, flat=True)))
    ascent = replace(settings, remedies=Remedies(ascent=Ascent()))
    ray = march(terrain, launch, settings)
    strong = march(replace(terrain, alpha=10 * terrain.alpha), launch, settings)
    climbed = march(terrain, launch, ascent)
    return (
        {
            "linear, flat": _straight(flat),
            "great circle": _straight(launch),
            "great circle, parabola": _straight(bent),
            "ray, strength 1": ray.latents[ray.frames],
            "ray, strength 10": strong.latents[strong.frames],
            "ray, ascent": climbed.latents[climbed.frames],
        },
        float(ray.growth[-1]),
        ray.rows + strong.rows + climbed.rows,
    )


def _straight(launch: Launch) -> Tensor:
    """The chart's own geodesic, at 0 .. AHEAD."""
    t = torch.arange(AHEAD + 1, dtype=torch.float64)
    y = launch.chart.coordinates(torch.zeros(1), launch.x[None])
    points = space_form(launch.chart.manifold).exp(
        y.expand(len(t), -1), t[:, None] * launch.velocity
    )
    return launch.chart.latent(torch.zeros(len(t)), points)


def _line(points: Tensor) -> Tensor:
    """Slope of the line fitted to equidistant points."""
    j = torch.arange(len(points), dtype=points.dtype) - (len(points) - 1) / 2
    return torch.tensordot(j / j.square().sum(), points, dims=1)


def table(rows: Sequence[Row]) -> str:
    """Markdown: means with intervals over windows, and gains over repeating and over straight."""
    lines = ["LPIPS is skipped: no library and weights for it here.\n"]
    for law in (Law.SLOW, Law.FAST):
        for ahead in JUDGED:
            some = [r for r in rows if r.law == law.value and r.ahead == ahead]
            lines += [f"## {law.value} clips, {ahead} ahead ({len(some)} windows)\n"]
            lines += [
                "| prediction | PSNR, dB | SSIM | latent distance (last frame: 1) "
                "| PSNR over repeating (codec) | over the great circle |",
                "|---|---|---|---|---|---|",
            ]
            for name in METHODS:
                cells = [
                    _mean([r.psnr[name] for r in some]),
                    _mean([r.ssim[name] for r in some]),
                    _mean([r.latent[name] for r in some]) if name in some[0].latent else "–",
                ]
                for rival in ("repeat it (codec)", "great circle"):
                    gains = [r.psnr[name] - r.psnr[rival] for r in some]
                    cells.append("–" if name == rival else _mean(gains))
                lines.append(f"| {name} | " + " | ".join(cells) + " |")
            lines.append("")
    growth = [r.growth for r in rows if r.ahead == JUDGED[0]]
    lines.append(f"Growth factor of the rays of strength 1: {_mean(growth)}.")
    return "\n".join(lines) + "\n"


def _mean(values: Sequence[float]) -> str:
    return shown(bootstrap_mean(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--actors", type=int, default=2, help="three motions, two laws each")
    parser.add_argument("--steps", type=int, default=20, help="DDIM steps")
    parser.add_argument("--model", default="embedded")
    parser.add_argument("--write", type=Path, help="folder for extrapolation.md and .json")
    parser.add_argument("--keep", type=Path, help="file of rows to resume from and add to")
    o = parser.parse_args()
    settings = ExtrapolationSettings(
        frames=AHEAD + 1, steps=o.steps, refinements=1, ray_steps=2, stop=False
    )
    measured = commit()
    model = load_model(o.model)
    kept = o.keep.read_text(encoding="utf-8").splitlines() if o.keep and o.keep.exists() else []
    rows = [Row(**json.loads(line)) for line in kept]
    started, spent = time.perf_counter(), 0
    for actor in range(o.actors):
        for motion in Motion:
            for law in (Law.SLOW, Law.FAST):
                if any(r.clip == make_clip(actor, motion, law).name for r in rows):
                    continue
                found, more = run(model, actor, motion, law, settings)
                rows, spent = rows + found, spent + more
                if o.keep:
                    with o.keep.open("a", encoding="utf-8") as file:
                        file.writelines(json.dumps(asdict(row)) + "\n" for row in found)
                done = time.perf_counter() - started
                print(f"{found[0].clip} {spent} rows {done:.0f} s", flush=True)
    text = table(rows)
    print(text)
    if o.write:
        o.write.mkdir(parents=True, exist_ok=True)
        clips = len({r.clip for r in rows})
        head = (
            "# Foretelling clips\n\n"
            f"Made by `python -m benchmarks.extrapolation` at commit {measured}: {clips} rendered "
            f"clips, windows of {KNOWN} known frames, {AHEAD} ahead; level {settings.level:g} of "
            f"{settings.steps} steps. Means and 95% bootstrap intervals over windows. What this "
            "says: [docs](../../docs/extrapolation.md).\n\n"
        )
        (o.write / "extrapolation.md").write_text(head + text, encoding="utf-8")
        about = {
            "commit": measured,
            "model": model.hash,
            "clips": clips,
            "known": KNOWN,
            "ahead": AHEAD,
            "settings": settings.as_dict(),
        }
        data = {"about": about, "rows": [asdict(r) for r in rows]}
        content = json.dumps(data, indent=1, default=str) + "\n"
        (o.write / "extrapolation.json").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
