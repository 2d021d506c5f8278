"""``geodesic interpolate A B ... -o OUT``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from diffusion_geodesics.cli.options import (
    ConfigOption,
    PresetOption,
    chosen,
    options_of,
)
from diffusion_geodesics.cli.partial import kept_work
from diffusion_geodesics.cli.shared import ModelSettings, OutputSettings, part_of
from diffusion_geodesics.interpolation.settings import InterpolationSettings


class InterpolateCommand(InterpolationSettings):
    """An interpolation with what it is of, by which model, and where it goes."""

    images: tuple[Path, ...] = ()
    """The images, at least two."""
    model: ModelSettings = ModelSettings()
    output: OutputSettings = OutputSettings()


if TYPE_CHECKING:
    from diffusion_geodesics.interpolation.result import InterpolationResult

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
        The images, in the order of the film.
    """
    run(chosen(InterpolateCommand, options, config, preset, images=images))


def run(command: InterpolateCommand) -> None:
    """Check what can be checked, load, interpolate, write."""
    from diffusion_geodesics.cli.console import ProgressBars, say, say_files, say_notes
    from diffusion_geodesics.cli.inputs import demand_images, demand_space
    from diffusion_geodesics.runtime.storage import check_folder

    folder = check_folder(command.output.folder, overwrite=command.output.overwrite)
    demand_images(command.images, least=2)
    masks = [m for m in (command.masks.mask, command.masks.mask_b) if m is not None]
    demand_images(masks, least=0)
    with kept_work(folder, "segments") as partial, ProgressBars() as bars:
        from diffusion_geodesics.interpolation.interpolate import interpolate as job
        from diffusion_geodesics.interpolation.timeline import Chain, frame_count
        from diffusion_geodesics.reporting.save import save

        model = command.model.load(bars)
        chain = Chain.through(len(command.images), closed=command.film.loop)
        frames = frame_count(command.film, chain)
        demand_space(command.output, model, command.framing, frames)
        settings = part_of(InterpolationSettings, command)
        result = job(model, command.images, settings, resume=partial, observer=bars)
        written = save(result, folder, overwrite=command.output.overwrite, observer=bars)
    show(result)
    say_notes(result.warnings)
    say(*(f"note: {note}" for note in written.notes))
    say_files(written.folder, ("strip.png", *films(written.files), "report.html", "result.json"))


def show(result: "InterpolationResult") -> None:
    """Print a row for each path of one segment, or for each segment of more, and the cost."""
    from diffusion_geodesics.cli.console import say, table

    several = len(result.segments) > 1
    named = (
        [(f"{s.first + 1} → {s.last + 1}", s.profile) for s in result.segments]
        if several
        else [(p.name, p) for p in result.segments[0].profiles]
    )
    rows = [
        (
            name,
            f"{p.length:.5g}",
            f"{float(p.log_density.min()):+.1f}",
            f"{float(p.log_density.max()):+.1f}",
            f"{p.least_energy:.2f}",
            f"{float(p.norm.min()):.1f}",
        )
        for name, p in named
    ]
    first = "images" if several else "path"
    table((first, "length", "lowest log p", "highest", "noise energy", "lowest norm"), rows)
    solutions = [s.solution for s in result.segments if s.solution is not None]
    worst = max(solutions, key=lambda s: float(s.residual), default=None)
    state = (
        ""
        if worst is None
        else f"{worst.result.name.replace('_', ' ')}, residual {float(worst.residual):.1e}; "
    )
    cost = result.costs.total
    say(
        f"{len(result.frames)} frames; {state}images reproduced at {_range(result.keyframe_psnr)} "
        f"dB (autoencoder alone {_range(result.codec_psnr)}); {cost.nfe} network evaluations, "
        f"{result.costs['solve'].nfe} of them by the solver, in {cost.seconds:.1f} s"
    )


def _range(values: Sequence[float]) -> str:
    if len(values) == 2:
        return ", ".join(f"{x:.1f}" for x in values)
    return f"{min(values):.1f} to {max(values):.1f}"


def films(files: tuple[str, ...]) -> tuple[str, ...]:
    """The film files among those written."""
    return tuple(f for f in files if f.startswith("morph."))
