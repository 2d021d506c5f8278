r"""Are clips near geodesics, and slow ones nearer than fast ones? Noise is taken out.

For frames :math:`x_i` at the noise level and the geodesic g between the ends of a window, the
**deviation per length** is

.. math:: \frac{1}{L} \Big(\sum_i w_i \big(|x_i - g(s_i)|^2
          - \nu\,(1 + (1 - s_i)^2 + s_i^2)\big)\Big)_+^{1/2},
          \qquad L = \sum_i (|x_{i+1} - x_i|^2 - 2 \nu)_+^{1/2},

with :math:`s_i` the share of the length gone at :math:`x_i` and w the trapezoid's weights in s. A
straight line has 0, half a circle 0.23, and a line to and fro 0.29. ν is the square norm of a
frame's own noise, that of the film and of its compression: it is in the frame, in both ends and in
every step. It is read off fourth differences, :math:`|\Delta^4 x|^2 / 70`, where these are least on
average over a window, since motion counts in them as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.record import Data
from diffusion_geodesics.latents.encode import ModelParts, carry_up
from diffusion_geodesics.latents.geometry import Geometry, level_geometry
from diffusion_geodesics.manifold import Sphere
from diffusion_geodesics.models import DiffusionModel
from diffusion_geodesics.path import GreatArc
from diffusion_geodesics.runtime.run import Run
from diffusion_geodesics.video.curves import random_paths
from diffusion_geodesics.video.geodesics import solve
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.video.statistics import FRACTIONS

SETTINGS = VideoSettings().updated(level=0.5, steps=20, start_noise=0.04, intervals=(8, 16))
SPAN = 9
"""Frames of the windows of equal time; their median length is that of windows of equal length."""
Curve = Float[Tensor, "n dim"]


@final
@dataclass(frozen=True, eq=False)
class Points:
    """Frames at the noise level."""

    x: Curve
    sphere: Sphere
    geometry: Geometry
    noise: float  # square norm of a frame's own noise

    def about(self) -> Data:
        """Frames, noise, and the mean square step, for JSON."""
        step = float(self.x.diff(dim=0).square().sum(1).mean())
        return {"frames": len(self.x), "noise": self.noise, "step": step}


def points_of(
    run: Run, model: DiffusionModel, frames: Tensor, settings: VideoSettings = SETTINGS
) -> Points:
    """Frames inverted and brought to one sphere. Costs about 15 evaluations a frame."""
    parts = ModelParts.of(run, model, (frames.shape[-2], frames.shape[-1]))
    condition = model.encode_prompt("")
    clean = parts.codec.encode(frames).double().split(20)
    x = torch.cat([carry_up(parts, c, condition, settings.inversion) for c in clean])
    sphere = Sphere(float(x.norm(dim=1).square().mean().sqrt()))
    level, alpha = parts.level(settings.inversion), settings.metric.alpha_for(x.shape[1])
    x = sphere.project(x)
    return Points(x, sphere, level_geometry(parts, condition, level, alpha), noise_of(x))


def noise_of(x: Curve) -> float:
    """Square norm of the noise of a frame, ν."""
    fourth = x.diff(n=4, dim=0).square().sum(1)
    return float(fourth.unfold(0, min(2 * SPAN, len(fourth)), 1).mean(1).amin() / 70)


def steps_of(x: Curve, noise: float) -> Float[Tensor, " steps"]:
    """Lengths of the steps without the noise."""
    return (x.diff(dim=0).square().sum(1) - 2 * noise).clamp_min(0).sqrt()


def deviation(x: Curve, geodesic: Curve, noise: float) -> float:
    """The module's equation; NaN for a curve that does not move but for noise.

    Args:
        x: points of the curve.
        geodesic: between its ends, at equal fractions of its length.
        noise: ν.
    """
    steps = steps_of(x, noise)
    total = float(steps.sum())
    if not total > 0:
        return float("nan")
    share = torch.cat([steps.new_zeros(1), steps.cumsum(0)]) / total
    place = share * (len(geodesic) - 1)
    low = place.long().clamp_max(len(geodesic) - 2)
    there = torch.lerp(geodesic[low], geodesic[low + 1], (place - low)[:, None])
    gap = (x - there).square().sum(1) - noise * (1 + (1 - share).square() + share.square())
    gap[[0, -1]] = 0
    weight = 0.5 * (torch.cat([steps, steps[:1] * 0]) + torch.cat([steps[:1] * 0, steps])) / total
    return float((weight * gap).sum().clamp_min(0).sqrt()) / total


def equal_times(count: int) -> list[tuple[int, int]]:
    """First and last frames of windows of `SPAN` frames that share their ends."""
    return [(k, k + SPAN - 1) for k in range(0, count - SPAN + 1, SPAN - 1)]


def equal_lengths(steps: Float[Tensor, " steps"], length: float) -> list[tuple[int, int]]:
    """The same for windows that are at least so long; those of fewer than five frames are left
    out, for they have no shape."""
    found, start, gone = [], 0, 0.0
    for end, step in enumerate(steps.tolist(), 1):
        gone += step
        if gone >= length:
            found += [(start, end)] if end - start > 3 else []
            start, gone = end, 0.0
    return found


def controls(x: Curve, points: Points, seed: int) -> dict[str, Curve]:
    """A window and what it is held against, all between the same ends."""
    half, generator = len(x) // 2, torch.Generator().manual_seed(seed)
    order = torch.randperm(len(x) - 2, generator=generator) + 1
    length = steps_of(x, points.noise).sum()[None]
    smooth = random_paths(x[:1], x[-1:], length, len(x), points.sphere, seed)[:, 0]
    shaken = torch.randn(smooth.shape, generator=generator, dtype=smooth.dtype)
    shaken[[0, -1]] = 0  # the ends have their noise already
    scale = (points.noise / x.shape[1]) ** 0.5
    ends = x[:1], x[-1:]
    return {
        "clip": x,
        "five frames": x[torch.linspace(0, len(x) - 1, 5).round().long()],
        "halves reversed": torch.cat([ends[0], x[1:half].flip(0), x[half:-1].flip(0), ends[1]]),
        "shuffled": torch.cat([ends[0], x[order], ends[1]]),
        "random smooth": smooth + scale * shaken,
        "slerp": GreatArc(*ends)(torch.linspace(0, 1, len(x), dtype=x.dtype))[:, 0],
    }


def measure_clips(run: Run, points: Points, settings: VideoSettings = SETTINGS) -> list[Data]:
    """The rows of `measure_windows`, and of what kind each is, for windows of equal time and of
    equal length."""
    steps = steps_of(points.x, points.noise)
    times = equal_times(len(points.x))
    length = float(torch.stack([steps[a:b].sum() for a, b in times]).median())
    windows = {"equal time": times, "equal length": equal_lengths(steps, length)}
    kinds = [kind for kind, ends in windows.items() for _ in ends]
    ends = [pair for pairs in windows.values() for pair in pairs]
    rows = measure_windows(run, points, ends, settings)
    return [{"kind": kind} | row for kind, row in zip(kinds, rows, strict=True)]


def measure_windows(
    run: Run,
    points: Points,
    ends: Sequence[tuple[int, int]],
    settings: VideoSettings = SETTINGS,
    seed: int = 0,
) -> list[Data]:
    """A row a window: its speed, and by curve deviation per length, the same from slerp, and length
    over that of the geodesic. Costs a boundary value problem a window.

    Args:
        run: counts the cost.
        points: frames at the noise level.
        ends: first and last frame of each window.
        settings: of the solver.
        seed: of the first window's controls.
    """
    x, noise = points.x, points.noise
    steps = steps_of(x, noise)
    both = torch.stack([x[[a for a, _ in ends]], x[[b for _, b in ends]]])
    solved = solve(run, points.geometry, points.sphere, both, settings.solve, "")
    even, rows = torch.linspace(0, 1, FRACTIONS, dtype=x.dtype), []
    for number, (first, last) in enumerate(ends):
        curves = controls(x[first : last + 1], points, seed + number)
        geodesic, arc = solved.points[:, number], GreatArc(*both[:, number, None])(even)[:, 0]
        own = float(geodesic.diff(dim=0).norm(dim=1).sum())
        gone = float(steps[first:last].sum())
        rows.append(
            {
                "first": first, "last": last, "speed": gone / (last - first),
                "apart": float((geodesic - arc).norm(dim=1).square().mean().sqrt()) / own,
                "deviation": {
                    c: deviation(y, geodesic, 0.0 if c == "slerp" else noise)
                    for c, y in curves.items()
                },
                "from slerp": {
                    c: deviation(y, arc, 0.0 if c == "slerp" else noise) for c, y in curves.items()
                },
                "length": {
                    c: float(steps_of(y, 0.0 if c == "slerp" else noise).sum()) / own
                    for c, y in curves.items()
                },
            }
        )  # fmt: skip
    return rows
