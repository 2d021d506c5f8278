r"""Are clips near geodesics, and slow ones nearer than fast ones? At equal arc, without the noise.

For frames :math:`x_i` at the noise level and the geodesic g between the ends of a window, the
**deviation per length** is

.. math:: \frac{1}{L} \sqrt{\sum_i w_i \left(|x_i - g(s_i)|^2
          - \nu\,(1 + (1 - s_i)^2 + s_i^2)\right)_+},

with :math:`s_i` the share of the curve's length gone at :math:`x_i` and the shares as weights. A
frame's own noise has square norm ν, read off fourth differences, :math:`\nu = \overline{|\Delta^4
x|^2} / 70`; it is in the frame and in both ends, and in every step: :math:`L = \sum_i
\sqrt{(|\Delta x_i|^2 - 2 \nu)_+}`. Motion that fourth differences see counts as noise, so that
ν is rather too large. A curve that is bent as far as a quarter circle has 0.12.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

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

SETTINGS = VideoSettings().updated(level=0.5, steps=20, start_noise=0.04)
SPAN = 17
"""Frames of the windows of equal time."""
ARCS = 12
"""Windows of equal length."""
Curve = Float[Tensor, "n dim"]


@final
@dataclass(frozen=True, eq=False)
class Points:
    """Frames at the noise level."""

    x: Curve
    sphere: Sphere
    geometry: Geometry
    noise: float  # square norm of a frame's own noise


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
    """Square norm of the noise of a frame, from fourth differences."""
    return float(x.diff(n=4, dim=0).square().sum(1).mean() / 70)


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


def equal_arcs(x: Curve, noise: float, count: int, length: float) -> list[tuple[int, int]]:
    """First and last frames of windows of one length, spread over the curve; 4 frames at least."""
    arc = torch.cat([torch.zeros(1).double(), steps_of(x, noise).cumsum(0)])
    latest = int((arc <= arc[-1] - length).sum()) - 1
    found = []
    for start in torch.linspace(0, max(latest, 0), count).round().long().tolist():
        end = int((arc < arc[start] + length).sum())
        if start + 3 <= end < len(x):
            found.append((start, end))
    return list(dict.fromkeys(found))
