"""``geodesic distance IMAGES... -o OUT``."""

from pathlib import Path

from diffusion_geodesics.cli.options import ConfigOption, Given, chosen, takes
from diffusion_geodesics.cli.shared import RunSettings, part_of
from diffusion_geodesics.image_sets.settings import DistanceSettings


class DistanceCommand(RunSettings, DistanceSettings):
    """Distances with what they are of, by which model, and where they go."""

    images: tuple[Path, ...] = ()
    """The images, at least two."""


@takes(DistanceCommand, "images")
def distance(*images: Path, config: ConfigOption = None, options: Given = None) -> None:
    """Geodesic distances of all pairs of images, with a heat map and an embedding.

    Parameters
    ----------
    images
        Two or more images.
    """
    run(chosen(DistanceCommand, options, config, images=images))


def run(command: DistanceCommand) -> None:
    """Check what can be checked, load, compute, write."""
    from diffusion_geodesics.cli import console, inputs
    from diffusion_geodesics.cli.partial import kept_work
    from diffusion_geodesics.runtime.storage import check_folder

    output = command.output
    folder = check_folder(output.folder, overwrite=output.overwrite)
    inputs.demand_images(command.images, least=2)
    with kept_work(folder, "pairs", file=True) as partial, console.ProgressBars() as bars:
        from diffusion_geodesics.image_sets.distances import image_distances
        from diffusion_geodesics.reporting.save import save

        model = command.model.load(bars)
        settings = part_of(DistanceSettings, command)
        result = image_distances(model, command.images, settings, resume=partial, observer=bars)
        written = save(result, output.folder, overwrite=output.overwrite, observer=bars)
    matrix = result.matrix
    good, worst = sum(r.ok for r in matrix.results), float(matrix.residual.max())
    solved = f"{good} of {len(matrix.results)} pairs solved, residual at most {worst:.1e}"
    console.say(f"{solved}; {console.cost_line(result.costs)}")
    console.say_notes(result.warnings)
    names = ("distances.csv", "heatmap.svg", "embedding.svg", "report.html", "result.json")
    console.say_files(written.folder, *names)
