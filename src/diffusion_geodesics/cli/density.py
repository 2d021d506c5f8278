"""``geodesic density IMAGES...``."""

from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from diffusion_geodesics.cli import console, inputs
from diffusion_geodesics.cli.options import ConfigOption, Given, chosen, takes
from diffusion_geodesics.cli.shared import ModelSettings, part_of
from diffusion_geodesics.image_sets.settings import DensitySettings

OUTPUT = Group("Output")
Flag = Annotated[bool, Parameter(negative="", group=OUTPUT)]


class DensityCommand(DensitySettings):
    """Densities with what they are of and by which model."""

    images: tuple[Path, ...] = ()
    """The images."""
    model: ModelSettings = ModelSettings()


@takes(DensityCommand, "images")
def density(
    *images: Path,
    config: ConfigOption = None,
    json: Flag = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"], group=OUTPUT)] = None,
    overwrite: Flag = False,
    options: Given = None,
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
    from diffusion_geodesics.runtime.single_file import check_file, write_file

    if output is not None:
        check_file(output, overwrite=overwrite)
    inputs.demand_images(command.images, least=1)
    with console.ProgressBars() as bars:
        from diffusion_geodesics.image_sets.densities import image_densities

        model = command.model.load(bars)
        settings = part_of(DensitySettings, command)
        result = image_densities(model, command.images, settings, observer=bars)
    from diffusion_geodesics.reporting.jobs.densities import density_json

    text = density_json(result)
    if json:
        print(text, end="")
    else:
        rows = []
        for row in result.rows():
            nats = (f"{row[c]:.2f}" for c in ("log_prob", "standard_error", "solver_error"))
            bits = f"{row['bits_per_dim']:.4f} ± {row['bits_error']:.4f}"
            rows.append((str(row["name"]), *nats, bits))
        head = ("image", "log p, nats", "standard error", "solver error", f"bits {result.bits}")
        console.table(head, rows, error=False)
    found, level = result.density, command.inversion.level
    how = f"{found.result.value}; noise level {level:g} (σ = {found.sigma:.3g})"
    console.say(f"{how}, {command.trace.probes} probes, {console.cost_line(result.costs)}")
    console.say_notes(result.warnings)
    if output is not None:
        write_file(output, text, overwrite=overwrite)
