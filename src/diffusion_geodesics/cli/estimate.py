"""``geodesic estimate``: what an interpolation will cost."""

from typing import Annotated

from cyclopts import Group, Parameter
from pydantic import Field

from diffusion_geodesics.cli.console import ProgressBars, say, table
from diffusion_geodesics.cli.options import ConfigOption, Given, PresetOption, chosen, takes
from diffusion_geodesics.cli.shared import ModelSettings, part_of
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.runtime.run import STAGES


class EstimateCommand(InterpolationSettings):
    """An interpolation whose cost is asked for."""

    keyframes: int = Field(default=2, ge=2, le=10_000)
    """Number of images."""
    time: bool = False
    """Time one network evaluation as well."""
    model: ModelSettings = ModelSettings()


@takes(EstimateCommand)
def estimate(
    *,
    config: ConfigOption = None,
    preset: PresetOption = None,
    json: Annotated[bool, Parameter(negative="", group=Group("Output"))] = False,
    options: Given = None,
) -> None:
    """Predict network evaluations, operations and memory of ``interpolate`` with the same options.

    Most stages are exact. Text inversion, inversion and the solver stop early: theirs are upper
    bounds.

    Parameters
    ----------
    json
        Print JSON instead of a table.
    """
    command = chosen(EstimateCommand, options, config, preset)

    with ProgressBars() as bars:
        from diffusion_geodesics.interpolation.estimate import ADAPTIVE
        from diffusion_geodesics.interpolation.estimate import estimate as predict

        model = command.model.load(bars)
        settings = part_of(InterpolationSettings, command)
        found = predict(model, settings, keyframes=command.keyframes, timed=command.time)
    if json:
        from json import dumps

        memory = {"weights": found.weights, "batch": found.batch_bytes}
        content = {**found.costs.as_dict(), "memory": memory, "size": list(found.size)}
        print(dumps(content, indent=1))
        return
    timed = found.seconds_each is not None
    rows = []
    for name, cost in (*found.costs.stages, ("total", found.costs.total)):
        bound = "≤ " if name in ADAPTIVE or name == "total" else ""
        cells = [f"{bound}{cost.nfe}", f"{bound}{cost.batches}", f"{cost.tflop:.4g}"]
        rows.append([STAGES.get(name, name), *cells, *([f"{cost.seconds:.1f}"] if timed else [])])
    table(["stage", "NFE", "batches", "TFLOP", *(["seconds"] if timed else [])], rows, error=False)
    weights, batch = found.weights / 2**30, found.batch_bytes / 2**30
    say(
        f"{found.size[1]}x{found.size[0]} pixels, {found.dim} coordinates, "
        f"{found.operations.evaluation / 1e12:.3g} TFLOP an evaluation; memory about "
        f"{weights:.2f} GiB of weights and {batch:.2f} GiB for batches of {found.batch} latents"
    )
