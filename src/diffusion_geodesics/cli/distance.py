"""``geodesic distance IMAGES... -o OUT``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from diffusion_geodesics.cli.options import ConfigOption, chosen, options_of
from diffusion_geodesics.cli.shared import ModelSettings, OutputSettings, part_of
from diffusion_geodesics.image_sets.settings import DistanceSettings


class DistanceCommand(DistanceSettings):
    """Distances with what they are of, by which model, and where they go."""

    images: tuple[Path, ...] = ()
    """The images, at least two."""
    model: ModelSettings = ModelSettings()
    output: OutputSettings = OutputSettings()


if TYPE_CHECKING:
    Options = dict[str, Any]
else:
    Options = options_of(DistanceCommand, without=("images",))


def distance(
    *images: Path,
    config: ConfigOption = None,
    options: Annotated[Options | None, Parameter(name="*")] = None,
) -> None:
    """Geodesic distances of all pairs of images, with a heat map and an embedding.

    Parameters
    ----------
    images
        Two or more images.
    """
    run(chosen(DistanceCommand, options, config, images=images))


def run(command: DistanceCommand) -> None:
    """Check what can be checked, load, compute, write."""
    from diffusion_geodesics.cli.console import ProgressBars, say, say_files, say_notes
    from diffusion_geodesics.cli.inputs import demand_images, place_beside
    from diffusion_geodesics.runtime.storage import check_folder

    output = command.output
    folder = check_folder(output.folder, overwrite=output.overwrite)
    demand_images(command.images, least=2)
    partial = place_beside(folder, ".partial.safetensors")
    try:
        with ProgressBars() as bars:
            from diffusion_geodesics.image_sets.distances import image_distances
            from diffusion_geodesics.reporting.save import save

            model = command.model.load(bars)
            settings = part_of(DistanceSettings, command)
            result = image_distances(model, command.images, settings, resume=partial, observer=bars)
            written = save(result, output.folder, overwrite=output.overwrite, observer=bars)
    except BaseException:
        if partial and partial.exists():
            say(f"finished pairs are kept in {partial}; the same command goes on from there")
        raise
    if partial:
        partial.unlink(missing_ok=True)
    matrix, cost = result.matrix, result.costs.total
    good = sum(r.ok for r in matrix.results)
    say(
        f"{good} of {len(matrix.results)} pairs solved, residual at most "
        f"{float(matrix.residual.max()):.1e}; {cost.nfe} network evaluations in "
        f"{cost.seconds:.1f} s"
    )
    say_notes(result.warnings)
    names = ("distances.csv", "heatmap.svg", "embedding.svg", "report.html", "result.json")
    say_files(written.folder, names)
