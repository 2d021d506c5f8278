"""``geodesic density IMAGES...``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter

from diffusion_geodesics.cli.options import ConfigOption, chosen, options_of
from diffusion_geodesics.cli.shared import ModelSettings, part_of
from diffusion_geodesics.image_sets.settings import DensitySettings


class DensityCommand(DensitySettings):
    """Densities with what they are of and by which model."""

    images: tuple[Path, ...] = ()
    """The images."""
    model: ModelSettings = ModelSettings()


if TYPE_CHECKING:
    Options = dict[str, Any]
else:
    Options = options_of(DensityCommand, without=("images",))


def density(
    *images: Path,
    config: ConfigOption = None,
    json: Annotated[bool, Parameter(negative="", group=Group("Output"))] = False,
    output: Annotated[
        Path | None, Parameter(name=["--output", "-o"], group=Group("Output"))
    ] = None,
    overwrite: Annotated[bool, Parameter(negative="", group=Group("Output"))] = False,
    options: Annotated[Options | None, Parameter(name="*")] = None,
) -> None:
    """Log density and bits per dimension of images, with error bars.

    Parameters
    ----------
    images
        One or more images.
    json
        Print JSON instead of a table.
    output
        Also write everything to this .json file.
    overwrite
        Replace the file if it is there.
    """
    command = chosen(DensityCommand, options, config, images=images)
    run(command, json=json, output=output, overwrite=overwrite)


def run(command: DensityCommand, *, json: bool, output: Path | None, overwrite: bool) -> None:
    """Check what can be checked, load, compute, show."""
    from diffusion_geodesics.cli.console import ProgressBars, say, say_notes, table
    from diffusion_geodesics.cli.inputs import demand_images
    from diffusion_geodesics.runtime.single_file import check_file

    if output is not None:
        check_file(output, overwrite=overwrite)
    demand_images(command.images, least=1)
    with ProgressBars() as bars:
        from diffusion_geodesics.image_sets.densities import image_densities

        model = command.model.load(bars)
        settings = part_of(DensitySettings, command)
        result = image_densities(model, command.images, settings, observer=bars)
    from diffusion_geodesics.reporting.jobs.image_sets import density_json
    from diffusion_geodesics.runtime.single_file import write_file

    text = density_json(result)
    if json:
        print(text, end="")
    else:
        rows = [
            (
                str(row["name"]),
                f"{row['log_prob']:.2f}",
                f"{row['standard_error']:.2f}",
                f"{row['solver_error']:.2f}",
                f"{row['bits_per_dim']:.4f} ± {row['bits_error']:.4f}",
            )
            for row in result.rows()
        ]
        head = ("image", "log p, nats", "standard error", "solver error", f"bits {result.bits}")
        table(head, rows, error=False)
    found, cost = result.density, result.costs.total
    say(
        f"{found.result.value}; noise level {command.inversion.level:g} (σ = {found.sigma:.3g}), "
        f"{command.trace.probes} probes, {cost.nfe} network evaluations in {cost.seconds:.1f} s"
    )
    say_notes(result.warnings)
    if output is not None:
        write_file(output, text, overwrite=overwrite)
