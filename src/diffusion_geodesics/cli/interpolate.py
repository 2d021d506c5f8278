"""``geodesic interpolate A B ... -o OUT``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from diffusion_geodesics.cli.options import (
    ConfigOption,
    PresetOption,
    chosen,
    options_of,
)
from diffusion_geodesics.cli.shared import ModelSettings, OutputSettings, part_of
from diffusion_geodesics.interpolation.settings import InterpolationSettings


class InterpolateCommand(InterpolationSettings):
    """An interpolation with what it is of, by which model, and where it goes."""

    images: tuple[Path, ...] = ()
    """The images, at least two."""
    model: ModelSettings = ModelSettings()
    output: OutputSettings = OutputSettings()


if TYPE_CHECKING:
    Options = dict[str, Any]
else:
    Options = options_of(InterpolateCommand, without=("images",))


def interpolate(
    *images: Path,
    config: ConfigOption = None,
    preset: PresetOption = None,
    options: Annotated[Options | None, Parameter(name="*")] = None,
) -> None:
    """Morph images into one another.

    Parameters
    ----------
    images
        The images, in order.
    """
    run(chosen(InterpolateCommand, options, config, preset, images=images))


def run(command: InterpolateCommand) -> None:
    """Check what can be checked, load, interpolate, write."""
    from diffusion_geodesics.cli.console import ProgressBars, say, say_files, say_notes, table
    from diffusion_geodesics.cli.inputs import demand_images, demand_space
    from diffusion_geodesics.runtime.storage import check_folder

    folder = command.output.folder
    check_folder(folder, overwrite=command.output.overwrite)
    demand_images(command.images, least=2)
    with ProgressBars() as bars:
        from diffusion_geodesics.interpolation.interpolate import interpolate as job
        from diffusion_geodesics.reporting.save import save

        model = command.model.load(bars)
        demand_space(command.output, model, command.framing, command.film.frames)
        result = job(model, command.images, part_of(InterpolationSettings, command), observer=bars)
        written = save(result, folder, overwrite=command.output.overwrite, observer=bars)
    rows = [
        (
            p.name,
            f"{p.length:.5g}",
            f"{float(p.log_density.min()):+.1f}",
            f"{float(p.log_density.max()):+.1f}",
            f"{p.least_energy:.2f}",
            f"{float(p.norm.min()):.1f}",
        )
        for p in result.segments[0].profiles
    ]
    head = ("path", "length", "lowest log p", "highest", "noise energy", "lowest norm")
    table(head, rows)
    solution, cost = result.segments[0].solution, result.costs.total
    state = "" if solution is None else f"{solution.result.name.replace('_', ' ')}, "
    residual = "" if solution is None else f"residual {float(solution.residual):.1e}; "
    psnr = ", ".join(f"{x:.1f}" for x in result.keyframe_psnr)
    codec = ", ".join(f"{x:.1f}" for x in result.codec_psnr)
    say(
        f"{state}{residual}images reproduced at {psnr} dB (autoencoder alone {codec}); "
        f"{cost.nfe} network evaluations, {result.costs['solve'].nfe} of them by the solver, in "
        f"{cost.seconds:.1f} s"
    )
    say_notes(result.warnings)
    say_files(written.folder, ("strip.png", *films(written.files), "report.html", "result.json"))


def films(files: tuple[str, ...]) -> tuple[str, ...]:
    """The film files among those written."""
    return tuple(f for f in files if f.startswith("morph."))
