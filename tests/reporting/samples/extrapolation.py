"""A ray from a start."""

from __future__ import annotations

import torch

from diffusion_geodesics.reporting.blocks import (
    Fact,
    Facts,
    Film,
    FilmRow,
    Picture,
    Pictures,
    Plot,
    Section,
    Text,
    VideoClip,
    time_captions,
)
from diffusion_geodesics.reporting.playback import LanczosToHeight, Once, Playback, Upscaler
from diffusion_geodesics.reporting.plots import Level, LinePlot, Panel, Trace
from diffusion_geodesics.reporting.report import Report
from tests.reporting.samples.common import COST, SETTINGS, VERSIONS, curves, disc


def extrapolation(n: int = 13, size: int = 96, upscale: Upscaler | None = None) -> Report:
    """A ray from a start."""
    t = torch.linspace(0, 1.5, n)
    films = {"geodesic": disc(t, size, size, 0.2), "straight": disc(t, size, size, 0.0)}
    named = curves({"geodesic": -30.0, "straight": -80.0})
    traces = [Trace(name, 1.5 * x, y) for name, (x, y) in named.items()]
    growth = [
        Trace(name, 1.5 * x, torch.exp((3 if name == "geodesic" else 0.1) * x))
        for name, (x, _) in named.items()
    ]
    clip = VideoClip(
        films["geodesic"],
        playback=Playback(order=Once(), upscale=upscale or LanczosToHeight()),
        caption="The film along the ray",
    )
    return Report(
        title="A density ray: from a.png past b.png",
        lead="Ended: the ray left the typical set at t = 1.31.",
        opening=(
            Pictures(
                [
                    Picture([disc(k[None], 96, 96, 0.0)[0]], name)
                    for k, name in ((t[0], "a.png"), (t[8], "b.png"))
                ]
            ),
            clip,
        ),
        warnings=(
            "The ray ended at 1.31 of 1.5 (of the way from a to b): it left the typical set.",
        ),
        sections=(
            Section(
                "",
                [
                    Facts(
                        [
                            Fact("Went", "1.31", "in units of the way"),
                            Fact("Growth of small errors", "20.1", "1 in flat space"),
                        ]
                    )
                ],
            ),
            Section(
                "Frames",
                [
                    Film(
                        [FilmRow("geodesic", films["geodesic"], time_captions(t))], file="strip.png"
                    )
                ],
            ),
            Section(
                "The ray against going straight on",
                [
                    Film(
                        [FilmRow(k, f, time_captions(t)) for k, f in films.items()],
                        file="comparison.png",
                    )
                ],
            ),
            Section(
                "What was done about leaving high density",
                [
                    Text(
                        points=[
                            "strength halved 2 times, to 0.075",
                            "norm restored after each frame",
                        ]
                    )
                ],
            ),
            Section(
                "Density and growth along the ray",
                [
                    Plot(
                        LinePlot(
                            [
                                Panel(
                                    "log density, nats", "t", traces, levels=[Level(0, "the start")]
                                ),
                                Panel(
                                    "growth of small errors",
                                    "t",
                                    growth,
                                    log_y=True,
                                    levels=[Level(1, "flat space")],
                                ),
                            ]
                        ),
                        caption="Log density at the noise level, relative to the start.",
                    )
                ],
            ),
        ),
        result={"result": "ended"},
        tensors={"path.safetensors": {"t": t}},
        frames={"frames": films["geodesic"]},
        settings=SETTINGS,
        cost=COST,
        versions=VERSIONS,
    )
