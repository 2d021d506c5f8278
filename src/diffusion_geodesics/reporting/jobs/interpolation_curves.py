"""Curves along a whole film: density, norm and noise energy, with the keyframes marked."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.reporting.blocks import Block, Plot, Text
from diffusion_geodesics.reporting.plots import Band, Level, LinePlot, Mark, Panel, Trace

MOST_NAMED = 8
"""Segments up to which keyframes are named at their marks."""


def traces(result: InterpolationResult, quantity: str) -> list[Trace]:
    """A quantity of every path over the whole chain."""
    traces = []
    for which, profile in enumerate(result.segments[0].profiles):
        t, values, below = [], [], 0.0
        for number, segment in enumerate(result.segments):
            found = getattr(segment.profiles[which], quantity).cpu().double()
            t.append(number + segment.profiles[which].t.cpu())
            values.append(found + (below if quantity == "log_density" else 0.0))
            below += float(found[-1])
        traces.append(Trace(profile.name, torch.cat(t), torch.cat(values)))
    return traces


def _axis(result: InterpolationResult) -> tuple[str, list[Mark], tuple[float, float]]:
    """Label, keyframes and limits of the axis over the whole film."""
    count = len(result.segments)
    if count == 1:
        return "t, from the first image to the second", [], (0.0, 1.0)
    numbers = [segment.first for segment in result.segments] + [result.segments[-1].last]
    named = count <= MOST_NAMED
    marks = [Mark(float(i), f"image {n + 1}" if named else "") for i, n in enumerate(numbers)]
    return "t, image by image", marks, (0.0, float(count))


def density(result: InterpolationResult) -> Iterator[Block]:
    """Log density along the film, and of the paths that it is compared with."""
    label, marks, limits = _axis(result)
    panel = Panel(
        "log density less that of the first image, nats",
        label,
        traces(result, "log_density"),
        levels=[Level(0.0, "the first image")],
        marks=marks,
        limits=limits,
    )
    yield Plot(LinePlot([panel]))
    projected = [p.name for p in result.segments[0].profiles if p.projected]
    if projected:
        yield Text(
            [
                f"Lengths of {' and '.join(projected)} are those of the paths brought to the "
                "coordinates of the metric; their densities are those of the paths themselves."
            ]
        )


def typicality(result: InterpolationResult) -> Plot:
    """Norm and noise energy along the film."""
    label, marks, limits = _axis(result)
    ends = result.segments[0].profile.noise_energy[[0, -1]]
    band = Band(0.75 * float(ends.min()), 1.25 * float(ends.max()), "typical")
    panels = [
        Panel("norm of the latent", label, traces(result, "norm"), marks=marks, limits=limits),
        Panel(
            "noise energy σ‖s‖/√d",
            label,
            traces(result, "noise_energy"),
            bands=[band],
            marks=marks,
            limits=limits,
        ),
    ]
    return Plot(LinePlot(panels))
