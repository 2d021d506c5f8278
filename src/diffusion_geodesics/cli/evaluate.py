"""`geodesic evaluate RUNS... -o OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffusion_geodesics.cli.compare import (
    MEASURES,
    ClipOption,
    CountOption,
    SeedOption,
    WeightsOption,
    show,
)
from diffusion_geodesics.cli.methods import read_named
from diffusion_geodesics.cli.options import FRAMES, OutputOption, OverwriteOption, console


def evaluate(
    runs: Annotated[
        list[str],
        typer.Argument(
            help="FOLDER or NAME=FOLDER, one a method: of frames, of a run of ours, or of one "
            "such folder a pair.",
            show_default=False,
        ),
    ],
    output: OutputOption,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="The images that were joined: a CSV or JSON file, or a folder such as MorphBench. "
            "Without them nothing is measured at the ends.",
            rich_help_panel=FRAMES,
        ),
    ] = None,
    frames: CountOption = 9,
    rival: Annotated[
        str | None,
        typer.Option(
            help="Whom win rates are against; slerp, or the first.", rich_help_panel=MEASURES
        ),
    ] = None,
    weights: WeightsOption = None,
    clip: ClipOption = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure and rank strips of frames, whoever made them. Needs no model."""
    from diffusion_geodesics.apps.evidence import evaluate as run
    from diffusion_geodesics.apps.evidence import read_pairs
    from diffusion_geodesics.measures import external_measures
    from diffusion_geodesics.report import check_folder
    from diffusion_geodesics.shell import ProgressBars

    named = [read_named(text) for text in runs]
    names = [name for name, _ in named]
    if doubled := sorted({n for n in names if names.count(n) > 1}):
        raise ValueError(f"two runs are called {doubled[0]}; name them, as NAME=FOLDER")
    check_folder(output, overwrite=overwrite)
    known = read_pairs(pairs) if pairs else []
    with ProgressBars(console) as bars:
        done = run(
            dict(named),
            frames=frames,
            pairs=known,
            external=external_measures(weights, clip),
            rival=rival,
            seed=seed,
            on_event=bars,
        )
    show(done, output, overwrite)
