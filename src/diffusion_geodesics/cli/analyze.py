"""`geodesic analyze CLIP... -o OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffusion_geodesics.apps.analyze.settings import AnalysisSettings
from diffusion_geodesics.cli.options import (
    FRAMES,
    MODEL,
    PATH,
    DeviceOption,
    Dtype,
    DtypeOption,
    FitMode,
    FitOption,
    ModelOption,
    OfflineOption,
    OutputOption,
    OverwriteOption,
    RevisionOption,
    SizeOption,
    console,
    open_model,
    parse_size,
)
from diffusion_geodesics.clips import CutRule, FrameNumber, Moment, Reading, Seconds

_DEFAULTS = AnalysisSettings()


def analyze(
    clips: Annotated[
        list[Path],
        typer.Argument(help="Videos, animations, or folders of frames.", show_default=False),
    ],
    output: OutputOption,
    model: ModelOption = "embedded",
    prompt: Annotated[str, typer.Option(help="What the clips show.", rich_help_panel=MODEL)] = "",
    device: DeviceOption = None,
    dtype: DtypeOption = Dtype.FLOAT32,
    revision: RevisionOption = None,
    offline: OfflineOption = False,
    level: Annotated[
        float,
        typer.Option(help="Noise level, the fraction of the steps inverted.", rich_help_panel=PATH),
    ] = _DEFAULTS.level,
    steps: Annotated[
        int, typer.Option(help="DDIM steps from noise to image.", rich_help_panel=PATH)
    ] = _DEFAULTS.steps,
    strength: Annotated[
        float,
        typer.Option(help="Strength α·d of the metric; 0 is the sphere.", rich_help_panel=PATH),
    ] = _DEFAULTS.strength,
    window: Annotated[
        int, typer.Option(help="Frames held against one geodesic.", rich_help_panel=PATH)
    ] = _DEFAULTS.window,
    half: Annotated[
        int,
        typer.Option(
            help="Frames on either side that an acceleration is fitted to.", rich_help_panel=PATH
        ),
    ] = _DEFAULTS.half,
    controls: Annotated[
        bool,
        typer.Option(
            "--controls/--no-controls", help="Measure the controls too.", rich_help_panel=PATH
        ),
    ] = True,
    tol: Annotated[
        float, typer.Option(help="Residual at which to stop.", rich_help_panel=PATH)
    ] = _DEFAULTS.tol,
    seed: Annotated[
        int, typer.Option(help="Of shuffles, random paths, intervals.", rich_help_panel=PATH)
    ] = _DEFAULTS.seed,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames a second to keep; all by default.", rich_help_panel=FRAMES),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(help="Where to begin: 2.5 (seconds), or 60f (frame).", rich_help_panel=FRAMES),
    ] = None,
    end: Annotated[
        str | None, typer.Option(help="Where to stop, likewise.", rich_help_panel=FRAMES)
    ] = None,
    stride: Annotated[
        int, typer.Option(help="Keep every so many frames.", rich_help_panel=FRAMES)
    ] = 1,
    stream: Annotated[
        int | None,
        typer.Option(help="Video stream, from 0; the longest by default.", rich_help_panel=FRAMES),
    ] = None,
    cuts: Annotated[
        bool,
        typer.Option("--cuts/--no-cuts", help="Split clips at cuts.", rich_help_panel=FRAMES),
    ] = True,
    size: SizeOption = None,
    fit: FitOption = FitMode.CROP,
    shown: Annotated[
        int, typer.Option(help="Frames of each film in the report.", rich_help_panel=FRAMES)
    ] = _DEFAULTS.shown,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure how far clips are from density geodesics, with controls."""
    from diffusion_geodesics.clips import open_clip
    from diffusion_geodesics.report import check_folder
    from diffusion_geodesics.shell import ProgressBars

    settings = AnalysisSettings(
        reading=Reading(fps, parse_moment(start), parse_moment(end), stride),
        stream=stream,
        cuts=CutRule() if cuts else None,
        prompt=prompt,
        level=level,
        steps=steps,
        strength=strength,
        window=window,
        half=half,
        controls=controls,
        tol=tol,
        seed=seed,
        size=parse_size(size),
        fit=fit.fit,
        shown=shown,
    )
    check_folder(output, overwrite=overwrite)
    opened = [open_clip(clip, stream=stream) for clip in clips]  # complain before a model is loaded
    with ProgressBars(console) as bars:
        from diffusion_geodesics.apps import Event
        from diffusion_geodesics.apps.analyze import analyze as run

        loaded = open_model(bars, model, device, dtype, revision, offline)
        done = run(loaded, opened, settings, on_event=bars)
        bars(Event("write", 0, 1))
        written = done.save(output, overwrite=overwrite)
        bars(Event("write", 1, 1))
    for claim in done.claims:
        console.print(f"{claim.claim}: {claim.found}: ", end="", soft_wrap=True, markup=False)
        console.print(claim.verdict.value, style="bold")
    total = done.ledger.total
    console.print(f"{total.rows} network rows in {total.seconds:.1f} s", markup=False)
    for warning in done.warnings:
        console.print("note:", style="yellow", end=" ")
        console.print(warning, soft_wrap=True, markup=False)
    for name in ("report.html", "windows.csv", "frames.csv", "result.json"):
        typer.echo(written.folder / name)


def parse_moment(text: str | None) -> Moment | None:
    """'2.5' or '2.5s' as seconds, '60f' as a frame number.

    Raises:
        ValueError: anything else.
    """
    if text is None:
        return None
    clean = text.strip().lower()
    try:
        if clean.endswith("f"):
            return FrameNumber(int(clean[:-1]))
        return Seconds(float(clean.removesuffix("s")))
    except ValueError as error:
        raise ValueError(
            f"got {text!r} for a place in a clip; expected seconds such as 2.5, or a frame such "
            "as 60f"
        ) from error
