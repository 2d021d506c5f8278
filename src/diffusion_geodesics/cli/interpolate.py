"""`geodesic interpolate A B -o OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffusion_geodesics.apps.settings import Estimate, Family, Pace, Settings
from diffusion_geodesics.cli.options import (
    FRAMES,
    MODEL,
    OUTPUT,
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

_DEFAULTS = Settings()


def interpolate(
    a: Annotated[Path, typer.Argument(help="The first image.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="The second image.", show_default=False)],
    output: OutputOption,
    model: ModelOption = "embedded",
    prompt_a: Annotated[
        str,
        typer.Option(
            "--prompt-a", "--prompt", help="What the first image shows.", rich_help_panel=MODEL
        ),
    ] = "",
    prompt_b: Annotated[
        str | None,
        typer.Option(help="What the second one shows; by default the same.", rich_help_panel=MODEL),
    ] = None,
    negative: Annotated[
        str, typer.Option(help="What guidance pushes away from.", rich_help_panel=MODEL)
    ] = "",
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
    refinements: Annotated[
        int,
        typer.Option(help="Most fixed-point iterations an inversion step.", rich_help_panel=PATH),
    ] = _DEFAULTS.refinements,
    path: Annotated[
        Family, typer.Option(help="Which path joins the images.", rich_help_panel=PATH)
    ] = _DEFAULTS.family,
    strength: Annotated[
        float,
        typer.Option(help="Strength α·d of the metric; 0 is slerp.", rich_help_panel=PATH),
    ] = _DEFAULTS.strength,
    alpha: Annotated[
        float | None, typer.Option(help="α itself, instead.", rich_help_panel=PATH)
    ] = None,
    score: Annotated[
        Estimate,
        typer.Option(
            help="Density of the level, or the ratio to the negative prompt.", rich_help_panel=PATH
        ),
    ] = _DEFAULTS.estimate,
    flat: Annotated[
        bool, typer.Option("--flat", help="Flat space, not the sphere.", rich_help_panel=PATH)
    ] = False,
    tol: Annotated[
        float, typer.Option(help="Residual at which to stop.", rich_help_panel=PATH)
    ] = _DEFAULTS.tol,
    max_steps: Annotated[
        int, typer.Option(help="Most steps of the solver.", rich_help_panel=PATH)
    ] = _DEFAULTS.max_steps,
    starts: Annotated[
        int, typer.Option(help="Initial paths tried in one batch.", rich_help_panel=PATH)
    ] = _DEFAULTS.starts,
    seed: Annotated[
        int, typer.Option(help="Of the further starts.", rich_help_panel=PATH)
    ] = _DEFAULTS.seed,
    allow_atypical: Annotated[
        bool,
        typer.Option(
            "--allow-atypical",
            help="Keep a path that leaves the typical set.",
            rich_help_panel=PATH,
        ),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare/--no-compare",
            help="Also decode slerp, for the report.",
            rich_help_panel=FRAMES,
        ),
    ] = True,
    frames: Annotated[
        int, typer.Option(help="Number of frames, ends included.", rich_help_panel=FRAMES)
    ] = _DEFAULTS.frames,
    guidance: Annotated[
        float,
        typer.Option(
            help="Guidance in the middle of the film; needs a prompt.", rich_help_panel=FRAMES
        ),
    ] = _DEFAULTS.guidance,
    spacing: Annotated[
        Pace, typer.Option(help="What is equal between frames.", rich_help_panel=FRAMES)
    ] = _DEFAULTS.pace,
    size: SizeOption = None,
    fit: FitOption = FitMode.CROP,
    keep_pixels: Annotated[
        bool,
        typer.Option(
            "--keep-pixels", help="Put the original pixels at both ends.", rich_help_panel=FRAMES
        ),
    ] = False,
    fps: Annotated[
        int, typer.Option(help="Frames a second of the video.", rich_help_panel=OUTPUT)
    ] = 10,
    gif: Annotated[
        bool, typer.Option("--gif", help="Also write a GIF.", rich_help_panel=OUTPUT)
    ] = False,
    webm: Annotated[
        bool, typer.Option("--webm", help="Also write a WebM.", rich_help_panel=OUTPUT)
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Morph image A into image B along a probability density geodesic."""
    from diffusion_geodesics.images import load_image
    from diffusion_geodesics.report import Gif, Mp4, Video, WebM, check_folder
    from diffusion_geodesics.shell import (
        ProgressBars,
        summary_line,
        summary_table,
    )

    settings = Settings(
        prompt_a=prompt_a,
        prompt_b=prompt_b,
        negative=negative,
        frames=frames,
        level=level,
        steps=steps,
        refinements=refinements,
        family=path,
        strength=strength,
        alpha=alpha,
        estimate=score,
        flat=flat,
        guidance=guidance,
        pace=spacing,
        tol=tol,
        max_steps=max_steps,
        starts=starts,
        seed=seed,
        size=parse_size(size),
        fit=fit.fit,
        keep_pixels=keep_pixels,
        compare=compare,
        allow_atypical=allow_atypical,
    )
    formats = [Mp4(), *([Gif()] if gif else []), *([WebM()] if webm else [])]
    video = Video(fps=fps, formats=tuple(formats))
    check_folder(output, overwrite=overwrite)
    for picture in (a, b):
        load_image(picture)  # complain about a bad image before a model is loaded
    with ProgressBars(console) as bars:
        from diffusion_geodesics.apps import Event
        from diffusion_geodesics.apps import interpolate as run

        loaded = open_model(bars, model, device, dtype, revision, offline)
        done = run(loaded, a, b, settings, on_event=bars)
        bars(Event("write", 0, 1))
        written = done.save(output, overwrite=overwrite, video=video)
        bars(Event("write", 1, 1))
    console.print(summary_table(done))
    console.print(summary_line(done), soft_wrap=True, markup=False)
    for warning in done.warnings:
        console.print("note:", style="yellow", end=" ")
        console.print(warning, soft_wrap=True, markup=False)
    for name in ("strip.png", "morph.mp4", "report.html", "result.json"):
        typer.echo(written.folder / name)
