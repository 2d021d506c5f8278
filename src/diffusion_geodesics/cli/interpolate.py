"""``geodesic interpolate A B ... -o OUT``."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_geodesics.cli import console, inputs
from diffusion_geodesics.cli.options import (
    AuthorsOption,
    ConfigOption,
    Given,
    PresetOption,
    chosen,
    given,
    takes,
)
from diffusion_geodesics.cli.partial import kept_work
from diffusion_geodesics.cli.shared import ModelSettings, OutputSettings, part_of
from diffusion_geodesics.interpolation.settings import InterpolationSettings

if TYPE_CHECKING:
    from diffusion_geodesics.interpolation.result import InterpolationResult


class InterpolateCommand(InterpolationSettings):
    """An interpolation with what it is of, by which model, and where it goes."""

    images: tuple[Path, ...] = ()
    """The images, at least two."""
    model: ModelSettings = ModelSettings()
    output: OutputSettings = OutputSettings()


@takes(InterpolateCommand, "images")
def interpolate(
    *images: Path,
    config: ConfigOption = None,
    preset: PresetOption = None,
    authors_config: AuthorsOption = None,
    options: Given = None,
) -> None:
    """Morph images into one another.

    Parameters
    ----------
    images
        The images, in the order of the film.
    """
    if authors_config is None:
        run(chosen(InterpolateCommand, options, config, preset, images=images))
        return
    from diffusion_geodesics.cli.authors.bvp import read_bvp
    from diffusion_geodesics.cli.authors.keys import alone, over_authors

    alone(config=config, preset=preset)
    mapped = read_bvp(authors_config)
    run(over_authors(InterpolateCommand, mapped, given(options, images=images)))


def run(command: InterpolateCommand) -> None:
    """Check what can be checked, load, interpolate, write."""

    folder = command.output.checked_folder()
    inputs.demand_images(command.images, least=2)
    masks = [m for m in (command.masks.mask, command.masks.mask_b) if m is not None]
    inputs.demand_images(masks, least=0)
    with kept_work(folder, "segments") as partial, console.ProgressBars() as bars:
        from diffusion_geodesics.interpolation.interpolate import interpolate as job
        from diffusion_geodesics.interpolation.timeline import Chain, frame_count

        model = command.model.load(bars)
        chain = Chain.through(len(command.images), closed=command.film.loop)
        frames = frame_count(command.film, chain)
        inputs.demand_space(command.output, model, command.framing, frames)
        settings = part_of(InterpolationSettings, command)
        result = job(model, command.images, settings, resume=partial, observer=bars)
        written = command.output.save(result, bars)
    show(result)
    console.say_notes((*result.warnings, *written.notes))
    names = ("strip.png", *films(written.files), "report.html", "result.json")
    console.say_files(written.folder, *names)


def show(result: "InterpolationResult") -> None:
    """Print a row for each path of one segment, or for each segment of more, and the cost."""

    several = len(result.segments) > 1
    named = [(p.name, p) for p in result.segments[0].profiles]
    if several:
        named = [(f"{s.first + 1} → {s.last + 1}", s.profile) for s in result.segments]
    rows = []
    for name, p in named:
        low, high = float(p.log_density.min()), float(p.log_density.max())
        typical = (f"{float(p.noise_energy.min()):.2f}", f"{float(p.norm.min()):.1f}")
        length = f"{p.length:.5g}" if p.comparable else "–"
        rows.append((name, length, f"{low:+.1f}", f"{high:+.1f}", *typical))
    first = "images" if several else "path"
    head = (first, "length", "lowest log p", "highest", "noise energy", "lowest norm")
    console.table(head, rows)
    solutions = [s.solution for s in result.segments if s.solution is not None]
    worst = max(solutions, key=lambda s: float(s.residual), default=None)
    state = ""
    if worst is not None:
        state = f"{worst.result.name.replace('_', ' ')}, residual {float(worst.residual):.1e}; "
    if result.distance is not None:
        parts = [f"geodesic distance {result.distance:.5g} ± {result.distance_error or 0.0:.1g}"]
        for found in (s.metamorphosis for s in result.segments if not several):
            if found is not None:
                moving = f"motion {found.motion:.2g} + appearance {found.appearance:.2g}"
                whole = f"{found.distance:.3g} ± {found.error:.1g}"
                parts.append(f"metamorphosis distance {whole}, its square {moving}")
        console.say("; ".join(parts))
    cost = result.costs.total
    console.say(
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
