"""Clips of video against geodesics."""

from __future__ import annotations

import math

import torch

from diffusion_geodesics.reporting.blocks import (
    Cell,
    Fact,
    Facts,
    Film,
    FilmRow,
    Plot,
    Section,
    Table,
    Text,
    Tone,
)
from diffusion_geodesics.reporting.plots import (
    Interval,
    IntervalPanel,
    IntervalPlot,
    Level,
    LinePlot,
    Panel,
    Trace,
)
from diffusion_geodesics.reporting.report import Banner, Report, Sheet
from tests.reporting.samples.common import COST, SETTINGS, VERSIONS, disc


def analysis(clips: int = 3) -> Report:
    """Clips of video against geodesics."""
    names = ("clip", "shuffled", "reversed", "random", "slerp", "lerp", "half as fast")
    quantities = (("deviation / chord", False), ("length / geodesic's", True), ("residual", True))
    controls = IntervalPlot(
        [
            IntervalPanel(
                title,
                [
                    Interval(name, 0.2 + 0.31 * i, 0.15 + 0.3 * i, 0.3 + 0.33 * i, strong=i == 0)
                    if name != "lerp"
                    else Interval(name, 1.2)
                    for i, name in enumerate(names)
                ],
                log,
            )
            for title, log in quantities
        ]
    )
    times = torch.linspace(2.0, 5.2, 40)
    wave = torch.sin(3 * times)
    gap = torch.where((times > 3) & (times < 3.3), torch.nan, 1 + 0.2 * wave)

    def part(i: int) -> Section:
        t = torch.linspace(0, 1, 11)
        rows = [
            FilmRow(name, disc(t, 90, 120, 0.1 * k))
            for k, name in enumerate(("clip", "geodesic", "slerp"))
        ]
        over_time = LinePlot(
            [
                Panel(
                    "log density less the first frame's, nats",
                    "seconds",
                    [Trace("clip", times, 10 * wave), Trace("geodesic", times, 4 * wave)],
                ),
                Panel(
                    "noise energy σ‖s‖/√d",
                    "seconds",
                    [Trace("clip", times, gap), Trace("geodesic", times, 1 + 0.02 * wave)],
                ),
            ]
        )
        motion = LinePlot(
            [
                Panel(
                    "Euler-Lagrange residual",
                    "seconds",
                    [Trace("clip", times, 0.5 + 0.4 * wave)],
                    log_y=True,
                    levels=[Level(1.0, "a straight line")],
                ),
                Panel(
                    "step between frames",
                    "seconds",
                    [Trace("clip", times, 1 + 0.3 * wave)],
                    from_zero=True,
                ),
            ]
        )
        return Section(
            f"clip_{i}.mp4, part 1",
            [
                Film(
                    rows,
                    caption="The clip at equal times; below it the other paths.",
                    file=f"strips/{i:03d}.png",
                ),
                Facts(
                    [
                        Fact("Deviation", "0.31", "of the chord, window by window"),
                        Fact("Jitter", "0.12", "share of the acceleration"),
                    ]
                ),
                Plot(over_time),
                Plot(motion),
            ],
            note=f"Frames {40 * i} to {40 * i + 39} of the file, 2.00 to 5.20 s; 8 windows.",
            warning="Out of the model's domain: reproduced at 17.2 dB." if i == 1 else "",
        )

    def verdict(holds: bool | None) -> Cell:
        if holds is None:
            return Cell("open", tone=Tone.FAINT)
        return Cell("holds", tone=Tone.GOOD) if holds else Cell("does not hold", tone=Tone.BAD)

    return Report(
        title="Clips against geodesics",
        lead=f"{40 * clips} frames of {clips} clips in {clips} parts, in windows of 9 frames",
        banner=Banner(
            "Out of the model's domain: the figures say nothing about some of these clips",
            ["clip_1.mp4: reproduced at 17.2 dB", "clip_1.mp4: noise energy 1.4"],
        ),
        warnings=("clip_2.mp4: 62% of the acceleration is jitter from frame to frame.",),
        sections=(
            Section(
                "",
                [
                    Facts(
                        [
                            Fact(
                                "Deviation from geodesics",
                                "0.31 [0.22, 0.40]",
                                "of the chord; over 8 windows",
                            ),
                            Fact("Strength", "α·d = 0.3", "α = 0.0003"),
                        ]
                    )
                ],
            ),
            Section(
                "The paper's claims, and what was found here",
                [
                    Table(
                        ["claim", "found", ""],
                        [
                            [
                                "Natural clips come close to geodesics",
                                "0.31 [0.22, 0.40] against 0.62 [0.51, 0.70]",
                                verdict(True),
                            ],
                            ["Slow clips are closest", "0.31 against 0.30", verdict(None)],
                            [
                                "Density is high along geodesics",
                                "−4 against −2 nats",
                                verdict(False),
                            ],
                        ],
                        numeric=False,
                        note="Means with 95% bootstrap intervals over 8 windows of the clips.",
                    )
                ],
            ),
            Section(
                "The clip and its controls",
                [
                    Plot(
                        controls,
                        caption="Every curve is held against the geodesic between its own ends.",
                    )
                ],
            ),
            Section(
                "All clips",
                [
                    Table(
                        [
                            "clip",
                            "frames",
                            "deviation",
                            "length",
                            "residual",
                            "angle, °",
                            "middle, nats",
                            "step",
                            "step, variation",
                            "jitter",
                        ],
                        [
                            [
                                f"clip_{i}.mp4, part 1",
                                "40",
                                "0.31",
                                "1.04",
                                "0.52",
                                "41",
                                "–3.1",
                                "1.02",
                                "0.21",
                                "0.12",
                            ]
                            for i in range(clips)
                        ],
                    )
                ],
            ),
            *(part(i) for i in range(clips)),
            Section(
                "How to read this",
                [Text(["Each frame is encoded and inverted to one noise level of the model."])],
                folded=True,
            ),
        ),
        result={"units": "8 windows"},
        sheets={
            "windows.csv": Sheet(
                ["clip", "deviation"], [["clip_0.mp4", 0.25], ["clip_1.mp4", math.nan]]
            ),
            "frames.csv": Sheet(["frame", "time"], [[0, 0.0], [1, 0.04]]),
        },
        settings=SETTINGS,
        cost=COST,
        versions=VERSIONS,
    )
