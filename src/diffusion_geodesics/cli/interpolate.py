"""`geodesic interpolate A B -o OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffusion_geodesics.apps.settings import Settings
from diffusion_geodesics.cli.options import (
    OUTPUT,
    DeviceOption,
    Dtype,
    DtypeOption,
    ModelOption,
    OfflineOption,
    OutputOption,
    OverwriteOption,
    RevisionOption,
    console,
    open_model,
)
from diffusion_geodesics.cli.settings_options import with_settings


@with_settings
def interpolate(
    a: Annotated[Path, typer.Argument(help="The first image.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="The second image.", show_default=False)],
    output: OutputOption,
    settings: Settings,
    model: ModelOption = "embedded",
    device: DeviceOption = None,
    dtype: DtypeOption = Dtype.FLOAT32,
    revision: RevisionOption = None,
    offline: OfflineOption = False,
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
