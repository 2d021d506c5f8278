"""Methods side by side."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from diffusion_geodesics.reporting.blocks import Cell, Film, FilmRow, Section, Table, Tone
from diffusion_geodesics.reporting.report import Report, Sheet, file_name
from diffusion_geodesics.reporting.tables import latex_table
from tests.reporting.samples.common import SETTINGS, VERSIONS, disc


def comparison(
    pairs: int = 3,
    methods: Sequence[str] = ("geodesic", "slerp", "lerp", "published", "cross-fade"),
) -> Report:
    """Methods side by side on pairs, with tables of scores."""
    t = torch.linspace(0, 1, 9)

    def films(k: int) -> list[FilmRow]:
        return [FilmRow(m, disc(t, 72, 96, 0.1 * i + 0.05 * k)) for i, m in enumerate(methods)]

    def scores(i: int) -> list[str | Cell]:
        best = Tone.STRONG
        return [
            Cell(
                f"{0.3 + 0.1 * j:.2f}",
                f"[{0.2 + 0.1 * j:.2f}, {0.4 + 0.1 * j:.2f}]",
                best if j == i else Tone.PLAIN,
            )
            for j in range(len(methods))
        ]

    table = Table(
        ["", *methods],
        [
            [Cell(f"{name} {arrow}", hint=hint), *scores(i)]
            for i, (name, arrow, hint) in enumerate(
                (
                    ("LPIPS, sum", "↓", "sum over frames"),
                    ("ghosting", "↓", "doubled edges"),
                    ("sharpness", "↑", "of the middle"),
                )
            )
        ],
        note="↑ higher is better, ↓ lower is better. The best of a row is marked.",
    )
    wins = Table(
        ["", *methods[1:]],
        [
            [
                "LPIPS, sum ↓",
                Cell("72%", "[55, 86]", Tone.GOOD),
                Cell("31%", "[15, 48]", Tone.BAD),
                Cell("50%", "[31, 69]"),
                "–",
            ]
        ],
        note="Marked where the 95% interval leaves out 50%.",
    )
    return Report(
        title=f"{len(methods)} methods on {pairs} pairs",
        lead="Frames at equal steps of features; compared with geodesic.",
        warnings=(f"{pairs} pairs do not rank methods; take 20 or more.",),
        sections=(
            Section(
                "Side by side",
                [
                    Film(
                        films(k),
                        title=f"pair {k}",
                        caption=f"Methods differ by {30 - k}% of the difference of both images.",
                    )
                    for k in range(pairs)
                ],
                note="All frames are at equal feature steps, so that no method wins by its pacing.",
            ),
            Section(f"Means over {pairs} pairs, with 95% intervals", [table]),
            Section("How often geodesic is beaten on the same pair", [wins]),
            Section(
                "What the figures are",
                [
                    Table(
                        (),
                        [
                            (
                                "LPIPS, sum",
                                "Over frames. It can deceive: a cross-fade scores well.",
                            ),
                            ("ghosting", "Doubled edges."),
                        ],
                        numeric=False,
                    )
                ],
            ),
            Section(
                "What was not measured",
                [
                    Table(
                        ["measure", "why", "how to get it"],
                        [["TOPIQ", "pyiqa is not installed", "pip install pyiqa"]],
                        numeric=False,
                    )
                ],
            ),
        ),
        result={"methods": list(methods)},
        sheets={
            "pairs.csv": Sheet(
                ["pair", "method", "quantity", "value"], [["pair 0", "slerp", "LPIPS", 0.5]]
            )
        },
        extra_files={"table.tex": latex_table(table, "Means over pairs")},
        frames={
            f"frames/{file_name(m)}/pair-{k}": disc(t, 72, 96, 0.1 * i)
            for k in range(pairs)
            for i, m in enumerate(methods)
        },
        settings=SETTINGS,
        versions=VERSIONS,
    )
