"""`geodesic density IMAGES...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from diffusion_geodesics.cli.options import (
    MODEL,
    OUTPUT,
    DeviceOption,
    Dtype,
    DtypeOption,
    FitMode,
    FitOption,
    ModelOption,
    OfflineOption,
    RevisionOption,
    SizeOption,
    console,
    open_model,
    parse_size,
)

FLOW = "Density"


def density(
    images: Annotated[list[Path], typer.Argument(help="One or more images.", show_default=False)],
    model: ModelOption = "embedded",
    prompt: Annotated[str, typer.Option(help="What all images show.", rich_help_panel=MODEL)] = "",
    device: DeviceOption = None,
    dtype: DtypeOption = Dtype.FLOAT32,
    revision: RevisionOption = None,
    offline: OfflineOption = False,
    level: Annotated[
        float,
        typer.Option(
            help="Noise level, the fraction of the steps inverted; 0.02 is nearly clean.",
            rich_help_panel=FLOW,
        ),
    ] = 0.4,
    steps: Annotated[
        int, typer.Option(help="DDIM steps from noise to image.", rich_help_panel=FLOW)
    ] = 50,
    probes: Annotated[
        int,
        typer.Option(
            help="Jacobian products an evaluation, a multiple of 3.", rich_help_panel=FLOW
        ),
    ] = 24,
    seed: Annotated[int, typer.Option(help="Of the probes.", rich_help_panel=FLOW)] = 0,
    rtol: Annotated[
        float, typer.Option(help="Relative tolerance of the flow's solver.", rich_help_panel=FLOW)
    ] = 1e-3,
    size: SizeOption = None,
    fit: FitOption = FitMode.CROP,
    json: Annotated[
        Path | None,
        typer.Option(help="Also write everything to this file.", rich_help_panel=OUTPUT),
    ] = None,
) -> None:
    """Log density and bits per dimension of images, with error bars."""
    from rich.table import Table

    from diffusion_geodesics.apps.gallery import Place, load_images
    from diffusion_geodesics.likelihood import ShiftedHutchPlusPlus
    from diffusion_geodesics.shell import ProgressBars

    if not 0 < rtol < 1:
        raise ValueError(f"rtol is {rtol}; expected a number between 0 and 1")
    place = Place(prompt, level, steps, size=parse_size(size), fit=fit.fit)
    trace = ShiftedHutchPlusPlus(probes, seed)
    if json is not None and (json.is_dir() or not json.absolute().parent.is_dir()):
        raise ValueError(f"{json} cannot be written; name a file in a folder that exists")
    load_images(images, 1)  # complain about a bad image before a model is loaded
    with ProgressBars(console) as bars:
        from diffusion_geodesics.apps.densities import densities

        loaded = open_model(bars, model, device, dtype, revision, offline)
        done = densities(loaded, images, place, trace=trace, rtol=rtol, on_event=bars)
    unit = "bits per pixel and channel" if done.of_pixels else "bits per latent dimension"
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("image")
    for name in ("log p, nats", "standard error", "solver error", unit):
        table.add_column(name, justify="right")
    for name, row in zip(done.gallery.names, done.rows(), strict=True):
        table.add_row(
            name,
            f"{row['log_prob']:.2f}",
            f"{row['standard_error']:.2f}",
            f"{row['solver_error']:.2f}",
            f"{row['bits_per_dim']:.4f} ± {row['bits_error']:.4f}",
        )
    typer.echo(_text(table), nl=False)
    found = done.density
    console.print(
        f"{found.result.value}; noise level {level:g} (σ = {found.sigma:.3g}), {probes} probes, "
        f"{done.ledger.total.rows} network rows in {done.ledger.total.seconds:.1f} s",
        soft_wrap=True,
        markup=False,
    )
    for warning in done.warnings:
        console.print("note:", style="yellow", end=" ")
        console.print(warning, soft_wrap=True, markup=False)
    if json is not None:
        from diffusion_geodesics.report import to_json

        json.write_text(to_json(done.as_dict()), encoding="utf-8")


def _text(table: object) -> str:
    """A table as plain text, as wide as it needs."""
    import io

    from rich.console import Console

    buffer = io.StringIO()
    Console(file=buffer, width=160, highlight=False).print(table)
    return buffer.getvalue()
