"""`geodesic distance IMAGES... -o OUT`."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from diffusion_geodesics.cli.options import (
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


class ReferenceMode(Enum):
    """What densities are relative to."""

    COMMON = "common"
    ENDS = "ends"


def distance(
    images: Annotated[list[Path], typer.Argument(help="Two or more images.", show_default=False)],
    output: OutputOption,
    model: ModelOption = "embedded",
    prompt: Annotated[str, typer.Option(help="What all images show.", rich_help_panel=MODEL)] = "",
    device: DeviceOption = None,
    dtype: DtypeOption = Dtype.FLOAT32,
    revision: RevisionOption = None,
    offline: OfflineOption = False,
    level: Annotated[
        float,
        typer.Option(help="Noise level, the fraction of the steps inverted.", rich_help_panel=PATH),
    ] = 0.4,
    steps: Annotated[
        int, typer.Option(help="DDIM steps from noise to image.", rich_help_panel=PATH)
    ] = 50,
    strength: Annotated[
        float, typer.Option(help="Strength α·d of the metric.", rich_help_panel=PATH)
    ] = 1.0,
    alpha: Annotated[
        float | None, typer.Option(help="α itself, instead.", rich_help_panel=PATH)
    ] = None,
    flat: Annotated[
        bool, typer.Option("--flat", help="Flat space, not the sphere.", rich_help_panel=PATH)
    ] = False,
    reference: Annotated[
        ReferenceMode,
        typer.Option(
            help="Density relative to the mean of all images, a metric, or of each pair's ends.",
            rich_help_panel=PATH,
        ),
    ] = ReferenceMode.COMMON,
    tol: Annotated[
        float, typer.Option(help="Residual at which to stop.", rich_help_panel=PATH)
    ] = 1e-3,
    starts: Annotated[
        int, typer.Option(help="Initial paths tried for each pair.", rich_help_panel=PATH)
    ] = 1,
    seed: Annotated[int, typer.Option(help="Of the further starts.", rich_help_panel=PATH)] = 0,
    batch: Annotated[
        int, typer.Option(help="Pairs solved, and kept, at once.", rich_help_panel=PATH)
    ] = 16,
    size: SizeOption = None,
    fit: FitOption = FitMode.CROP,
    overwrite: OverwriteOption = False,
) -> None:
    """Geodesic distances of all pairs of images, with a heat map and an embedding."""
    from diffusion_geodesics.apps.distances import DistanceSettings
    from diffusion_geodesics.apps.gallery import Place, load_images
    from diffusion_geodesics.distance import CommonMean, EndsMean
    from diffusion_geodesics.report import check_folder
    from diffusion_geodesics.shell import ProgressBars

    settings = DistanceSettings(
        place=Place(prompt, level, steps, size=parse_size(size), fit=fit.fit),
        strength=strength,
        alpha=alpha,
        flat=flat,
        reference=EndsMean() if reference is ReferenceMode.ENDS else CommonMean(),
        tol=tol,
        starts=starts,
        seed=seed,
        batch=batch,
    )
    folder = check_folder(output, overwrite=overwrite)
    load_images(images, 2)  # complain about a bad image before a model is loaded
    partial = folder.with_name(f"{folder.name}.partial.safetensors")
    try:
        with ProgressBars(console) as bars:
            from diffusion_geodesics.apps import Event
            from diffusion_geodesics.apps.distances import distances
            from diffusion_geodesics.apps.distances_told import warnings_of

            loaded = open_model(bars, model, device, dtype, revision, offline)
            done = distances(loaded, images, settings, resume=partial, on_event=bars)
            bars(Event("write", 0, 1))
            written = done.save(output, overwrite=overwrite)
            partial.unlink(missing_ok=True)
            bars(Event("write", 1, 1))
    except KeyboardInterrupt:
        if not partial.exists():
            raise
        console.print("[red]stopped[/]; run the same command again to continue from", end=" ")
        console.print(str(partial), markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
    matrix = done.matrix
    good = sum(r.ok for r in matrix.results)
    console.print(
        f"{good} of {len(matrix.results)} pairs solved, residual at most "
        f"{float(matrix.residual.max()):.1e}; {done.ledger.total.rows} network rows in "
        f"{done.ledger.total.seconds:.1f} s",
        soft_wrap=True,
        markup=False,
    )
    for warning in warnings_of(done):
        console.print("note:", style="yellow", end=" ")
        console.print(warning, soft_wrap=True, markup=False)
    for name in ("distances.csv", "heatmap.svg", "embedding.svg", "report.html", "result.json"):
        typer.echo(written.folder / name)
