"""Can a ray predict a clip? The next frames of rendered clips from the first ones.

Of every window the first frames are inverted to the noise level, a velocity is fitted to their
latents, and the next frames are predicted: by repeating the last one, by going straight on in
clean latents, in flat space and on the shell, and by density rays with and without remedies.
Predictions are decoded and compared with the true renderings.

    python -m benchmarks.extrapolation --write benchmarks/results
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cyclopts
import torch
from torch import Tensor

from benchmarks.record import add_row, commit, mean, read_rows, table, write_page
from diffusion_geodesics import load_model
from diffusion_geodesics.extrapolation.directions import ClipVelocity
from diffusion_geodesics.extrapolation.launch import Launch, Setup
from diffusion_geodesics.extrapolation.ray import follow
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.images import psnr
from diffusion_geodesics.ivp.integrator import space_form
from diffusion_geodesics.latents.decode import decode
from diffusion_geodesics.latents.encode import Noised, encode, invert
from diffusion_geodesics.latents.geometry import level_geometry
from diffusion_geodesics.latents.pictures import Pictures
from diffusion_geodesics.measures import ssim
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.video.local_fit import local_fit
from training.clips import Law, Motion, make_clip

KNOWN, AHEAD = 5, 4
"""Frames that are given, and frames that are predicted."""
JUDGED = (1, 4)
"""Of the predicted frames, those that are decoded and compared."""
STARTS = (0, 4, 8)
"""First frames of the windows of a clip of 17 frames."""
REPEAT, CODEC, CIRCLE = "repeat the last frame", "repeat it (codec)", "great circle"
CLEAN, TRUE = "linear, clean latents", "truth (codec)"
METHODS = (
    REPEAT, CODEC, CLEAN, "linear, flat", CIRCLE, "great circle, parabola", "ray, strength 1",
    "ray, strength 10", "ray, ascent", TRUE,
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One prediction of one frame: figures by method.

    Args:
        clip, law, start, ahead: which frame.
        psnr: in dB.
        ssim: up to 1.
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


def measure(
    model: DiffusionModel,
    actor: int,
    motion: Motion,
    law: Law,
    settings: ExtrapolationSettings,
    starts: Sequence[int] = STARTS,
) -> tuple[list[Row], int]:
    """All windows of one clip, and the network evaluations spent."""
    clip = make_clip(actor, motion, law, starts[-1] + KNOWN + AHEAD)
    run, images = Run(), clip.images(model.native_size)
    names = tuple(f"frame {i}" for i in range(len(images)))
    pictures = Pictures(images, names, ("",) * len(images))
    noised = invert(run, encode(run, model, pictures, settings.prompts.prompts), settings.inversion)
    rows = []
    for start in starts:
        found, growth = predictions(run, model, _window(noised, start), settings)
        frames, distances = _judged(run, noised, start, found)
        for k in JUDGED:
            truth = images[start + KNOWN - 1 + k]
            own = {name: frames[name, k] for name in METHODS}
            rows.append(
                Row(
                    clip.name,
                    law.value,
                    start,
                    k,
                    {n: float(psnr(f, truth)) for n, f in own.items()},
                    {n: float(ssim(f[None], truth[None])[0]) for n, f in own.items()},
                    {n: d for (n, ahead), d in distances.items() if ahead == k},
                    growth,
                )
            )
    return rows, run.meter.read().nfe


def _window(noised: Noised, start: int) -> Noised:
    """The known frames of a window."""
    return replace(noised, latents=noised.latents[start : start + KNOWN])


def _judged(
    run: Run, noised: Noised, start: int, guesses: dict[str, Tensor]
) -> tuple[dict[tuple[str, int], Tensor], dict[tuple[str, int], float]]:
    """Frames of every method, and distances of latents over that of repeating, by method and frames
    ahead."""
    encoded, last = noised.encoded, start + KNOWN - 1
    x, clean = noised.latents, encoded.clean
    wanted = {(n, k): guess[k] for n, guess in guesses.items() for k in JUDGED}
    wanted |= {(CODEC, k): x[last] for k in JUDGED} | {(TRUE, k): x[last + k] for k in JUDGED}
    shown = decode(
        run, noised.parts, noised.inversion, torch.stack(list(wanted.values())),
        encoded.conditions[0],
    )  # fmt: skip
    frames = dict(zip(wanted, shown.float().clamp(0, 1), strict=True))
    slope = local_fit(clean[start : last + 1], KNOWN // 2).velocity[0]
    straight = torch.stack([clean[last] + k * slope for k in JUDGED])
    decoded = encoded.codec.decode(straight).float().clamp(0, 1)
    frames |= {(CLEAN, k): frame for k, frame in zip(JUDGED, decoded, strict=True)}
    frames |= {(REPEAT, k): encoded.images[last] for k in JUDGED}
    distances = {
        (n, k): float((point - x[last + k]).norm() / (x[last] - x[last + k]).norm())
        for (n, k), point in wanted.items()
        if n != TRUE
    }
    return frames, distances | {(REPEAT, k): 1.0 for k in JUDGED}


def predictions(
    run: Run, model: DiffusionModel, window: Noised, settings: ExtrapolationSettings
) -> tuple[dict[str, Tensor], float]:
    """Latents of the frames ahead (index 0 is the last known frame), and the growth factor of the
    ray."""
    alpha = settings.metric.alpha_for(window.encoded.dim)
    geometry = level_geometry(window.parts, window.encoded.conditions[0], window.level, alpha)
    setup = Setup(run, window, geometry, settings, model.encode_prompt)
    launch = ClipVelocity(KNOWN).launch(setup)
    bent = ClipVelocity(KNOWN, bend=True).launch(setup)
    flat = ClipVelocity(KNOWN).launch(replace(setup, settings=settings.updated(flat=True)))
    ray = follow(geometry, launch, settings)
    strong = follow(geometry.with_alpha(10 * alpha), launch, settings)
    climbed = follow(geometry, launch, settings.updated(ascent_steps=2))
    return (
        {
            "linear, flat": _straight(flat),
            CIRCLE: _straight(launch),
            "great circle, parabola": _straight(bent),
            "ray, strength 1": ray.latents[ray.frames],
            "ray, strength 10": strong.latents[strong.frames],
            "ray, ascent": climbed.latents[climbed.frames],
        },
        float(ray.growth[-1]),
    )


def _straight(launch: Launch) -> Tensor:
    """The coordinates' own geodesic, at 0 .. AHEAD."""
    t = torch.arange(AHEAD + 1, dtype=torch.float64)
    y = launch.coordinates.coordinates(torch.zeros(1), launch.x[None])
    points = space_form(launch.coordinates.manifold).exp(
        y.expand(len(t), -1), t[:, None] * launch.velocity
    )
    return launch.coordinates.latent(torch.zeros(len(t)), points)


def page(rows: Sequence[Row]) -> str:
    """Markdown: means with intervals over windows, and gains over repeating and over straight."""
    head = (
        "prediction", "PSNR, dB", "SSIM", "latent distance (last frame: 1)",
        "PSNR over repeating (codec)", "over the great circle",
    )  # fmt: skip
    parts = ["LPIPS is skipped: no library and weights for it here.\n"]
    for law in (Law.SLOW, Law.FAST):
        for ahead in JUDGED:
            some = [r for r in rows if r.law == law.value and r.ahead == ahead]
            cells = []
            for name in METHODS:
                own = [mean([r.psnr[name] for r in some]), mean([r.ssim[name] for r in some])]
                apart = [r.latent[name] for r in some if name in r.latent]
                gains = [
                    "–" if name == b else mean([r.psnr[name] - r.psnr[b] for r in some])
                    for b in (CODEC, CIRCLE)
                ]
                cells.append([name, *own, mean(apart), *gains])
            title = f"## {law.value} clips, {ahead} ahead ({len(some)} windows)\n\n"
            parts.append(title + table(head, cells, words=6) + "\n")
    growth = mean([r.growth for r in rows if r.ahead == JUDGED[0]])
    return "\n".join([*parts, f"Growth factor of the rays of strength 1: {growth}."])


def main(
    *,
    actors: int = 2,
    steps: int = 20,
    model: str = "embedded",
    write: Path | None = None,
    keep: Path | None = None,
) -> None:
    """Predict rendered clips.

    Args:
        actors: three motions, two laws of time each.
        steps: DDIM steps.
        model: name or folder.
        write: folder for extrapolation.md and .json.
        keep: file of rows to resume from and add to.
    """
    settings = ExtrapolationSettings.of(
        frames=AHEAD + 1, steps=steps, refinements=1, ray_steps=2, stop=False
    )
    measured_at, loaded = commit(), load_model(model)
    rows, spent = [Row(**row) for row in read_rows(keep)], 0
    for actor in range(actors):
        for motion in Motion:
            for law in (Law.SLOW, Law.FAST):
                if any(r.clip == make_clip(actor, motion, law).name for r in rows):
                    continue
                found, nfe = measure(loaded, actor, motion, law, settings)
                rows, spent = rows + found, spent + nfe
                for row in found:
                    add_row(keep, asdict(row))
                print(found[0].clip, spent, "evaluations", flush=True)
    clips = len({r.clip for r in rows})
    head = (
        "Predicting clips\n\n"
        f"Made by `python -m benchmarks.extrapolation` at commit {measured_at}: {clips} rendered "
        f"clips, windows of {KNOWN} known frames, {AHEAD} ahead; level "
        f"{settings.inversion.level:g} of {steps} steps. Means and 95% bootstrap intervals over "
        "windows. What this says: [docs](../../docs/extrapolation.md)."
    )
    about = {"commit": measured_at, "model": loaded.hash, "settings": settings.as_nested()}
    data = {"about": about, "rows": [asdict(r) for r in rows]}
    write_page(write, "extrapolation", head, page(rows), data)


if __name__ == "__main__":
    cyclopts.run(main)
