"""The statistic of `clips` on rendered heads, whose motion is known and whose speed can be chosen.

A motion is rendered at three speeds, in as many frames: the middle quarter of it (slow), all of it
evenly (fast), and all of it in uneven steps (jerky), which is the fast clip with its speed
resampled. A clip is one window. The frames of a slow clip at quarters of the time are the middle
five of the fast one, so that its "five frames" are the fast clip cut to the slow one's length.

Renderings have no noise of a camera, so that none is taken out. The estimate of real films finds
some nevertheless where latents jump from frame to frame; that of the slow speed, where motion adds
least to it, is taken out of all three in a second row.
"""

from __future__ import annotations

import time
from dataclasses import replace

from benchmarks.real.clips import measure_windows, points_of
from benchmarks.record import Data
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.video.settings import VideoSettings
from training.clips import Law, Motion, make_clip

ACTORS, FRAMES = 10, 17
"""Held-out heads, three motions each, and frames of a clip."""
LAWS = (Law.SLOW, Law.FAST, Law.JERKY)
SETTINGS = VideoSettings().updated(intervals=(8, 16))


def measure_motion(
    model: DiffusionModel,
    actor: int,
    motion: Motion,
    frames: int = FRAMES,
    settings: VideoSettings = SETTINGS,
) -> Data:
    """One actor and motion: by speed a row of `measure_windows` without and with noise taken out.
    Costs the inversion of three clips and six boundary value problems."""
    started, run, noise = time.process_time(), Run(), 0.0
    plain, removed = {}, {}
    for law in LAWS:
        clip = make_clip(actor, motion, law, frames)
        points = points_of(run, model, clip.images(model.native_size), settings)
        noise = points.noise if law is Law.SLOW else noise
        for rows, taken in ((plain, 0.0), (removed, noise)):
            own = replace(points, noise=taken)
            (row,) = measure_windows(run, own, [(0, frames - 1)], settings, seed=actor)
            rows[law.value] = own.about() | row
    cost = {"nfe": run.meter.read().nfe, "seconds": time.process_time() - started}
    return {"actor": actor, "motion": motion.value, "plain": plain, "noise removed": removed} | cost
