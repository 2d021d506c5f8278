"""``geodesic distance IMAGES... -o OUT``."""

from pathlib import Path
from typing import TYPE_CHECKING

from diffusion_geodesics.cli import console, inputs
from diffusion_geodesics.cli.options import ConfigOption, Given, chosen, takes
from diffusion_geodesics.cli.partial import kept_work
from diffusion_geodesics.cli.shared import ModelSettings, OutputSettings, part_of
from diffusion_geodesics.image_sets.settings import DistanceSettings

if TYPE_CHECKING:
    from diffusion_geodesics.image_sets.distances import DistancesResult


class DistanceCommand(DistanceSettings):
    """Distances with what they are of, by which model, and where they go."""

    images: tuple[Path, ...] = ()
    """The images, at least two."""
    model: ModelSettings = ModelSettings()
    output: OutputSettings = OutputSettings()


@takes(DistanceCommand, "images")
def distance(*images: Path, config: ConfigOption = None, options: Given = None) -> None:
    """Distances of all pairs of images under one metric or all, with heat maps and embeddings.

    Parameters
    ----------
    images
        Two or more images.
    """
    command = chosen(DistanceCommand, options, config, images=images)

    output = command.output
    folder = output.checked_folder()
    inputs.demand_images(command.images, least=2)
    with kept_work(folder, "pairs", file=True) as partial, console.ProgressBars() as bars:
        from diffusion_geodesics.image_sets.distances import image_distances

        model = command.model.load(bars)
        settings = part_of(DistanceSettings, command)
        result = image_distances(model, command.images, settings, resume=partial, observer=bars)
        written = output.save(result, bars)
    console.say(f"{_told(result)}; {console.cost_line(result.costs)}")
    console.say_notes(result.warnings)
    names = ("distances.csv", "heatmap.svg", "embedding.svg", "report.html", "result.json")
    console.say_files(written.folder, *names)


def _told(result: "DistancesResult") -> str:
    """What was measured; of the density, how its geodesics were solved."""
    if result.solved is None:
        return f"measured: {', '.join(metric.value for metric in result.matrices)}"
    matrix = result.solved.matrix
    good, worst = sum(r.ok for r in matrix.results), float(matrix.residual.max())
    return f"{good} of {len(matrix.results)} pairs solved, residual at most {worst:.1e}"
