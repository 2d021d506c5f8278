"""`geodesic estimate`: what an interpolation will cost."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from diffusion_geodesics.apps.settings import Settings
from diffusion_geodesics.cli.options import (
    DeviceOption,
    Dtype,
    DtypeOption,
    ModelOption,
    OfflineOption,
    RevisionOption,
    console,
    open_model,
)
from diffusion_geodesics.cli.settings_options import with_settings


@with_settings
def estimate(
    settings: Settings,
    model: ModelOption = "embedded",
    device: DeviceOption = None,
    dtype: DtypeOption = Dtype.FLOAT32,
    revision: RevisionOption = None,
    offline: OfflineOption = False,
    time: Annotated[
        bool, typer.Option("--time", help="Time one row through the network as well.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Predict rows, calls, operations and memory of `interpolate` with the same options.

    Most stages are exact. Text inversion, inversion and the solver stop early: theirs are upper
    bounds.
    """
    from diffusion_geodesics.apps.estimate import estimate as predict
    from diffusion_geodesics.shell import ProgressBars, estimation_table

    with ProgressBars(console) as bars:
        loaded = open_model(bars, model, device, dtype, revision, offline)
        found = predict(loaded, settings=settings, timed=time)
    if as_json:
        memory = {"weights": found.weights, "batch": found.batch_bytes}
        content = {**found.ledger.as_dict(), "memory": memory, "size": list(found.size)}
        typer.echo(json.dumps(content, indent=1))
        return
    console.print(estimation_table(found))
    gigabytes = (found.weights / 2**30, found.batch_bytes / 2**30)
    console.print(
        f"{found.size[1]}x{found.size[0]} pixels, {found.dim} coordinates, "
        f"{found.row_flops / 1e12:.3g} TFLOP a row; memory about {gigabytes[0]:.2f} GiB of weights "
        f"and {gigabytes[1]:.2f} GiB for batches of {found.batch} rows",
        soft_wrap=True,
        markup=False,
    )
