"""``geodesic compare A B -o OUT``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from diffusion_geodesics.cli import console, inputs
from diffusion_geodesics.cli.methods import GRAMMAR, default_methods, read_method, read_named
from diffusion_geodesics.cli.options import ConfigOption, Given, chosen, takes
from diffusion_geodesics.cli.partial import kept_work
from diffusion_geodesics.cli.shared import ModelSettings, OutputSettings, Texts, part_of
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.runtime.settings import Marker, SettingsError, SettingsGroup

if TYPE_CHECKING:
    from diffusion_geodesics.comparison.method import Method
    from diffusion_geodesics.comparison.pairs import Pair
    from diffusion_geodesics.comparison.result import ComparisonResult
    from diffusion_geodesics.measures import External
    from diffusion_geodesics.runtime.run import Observer


class ExternalSettings(SettingsGroup):
    """Measures by other people's networks."""

    title: ClassVar[str] = "Measures"

    weights: Path | None = None
    """Folder with the weights of LPIPS, TOPIQ and Inception, laid out like torch's cache."""
    clip: Path | None = None
    """Folder of a CLIP model."""

    def load(self) -> "External":
        """The measures."""
        from diffusion_geodesics.measures import external_measures

        return external_measures(self.weights, self.clip)


class CompareCommand(ComparisonSettings):
    """A comparison with its pairs and methods, by which model, and where it goes."""

    images: tuple[Path, ...] = ()
    """The two images of one pair."""
    pairs: Path | None = None
    """Many pairs: a CSV or JSON file with a, b and perhaps name, prompt_a, prompt_b; or a folder
    such as MorphBench."""
    method: Texts = Field(default=(), description=GRAMMAR)
    frames_of: Annotated[Texts, Marker.NAMED_FOLDER] = ()
    """NAME=FOLDER: frames that another program made, ranked with the rest."""
    external: ExternalSettings = ExternalSettings()
    model: ModelSettings = ModelSettings()
    output: OutputSettings = OutputSettings()


@takes(CompareCommand, "images")
def compare(*images: Path, config: ConfigOption = None, options: Given = None) -> None:
    """Compare methods of interpolation on the same images, from one inversion.

    Parameters
    ----------
    images
        The two images of one pair; or none, with --pairs.
    """
    command = chosen(CompareCommand, options, config, images=images)

    output = command.output
    folder = output.checked_folder()
    pairs = _pairs(command)
    pictures = [p for pair in pairs for p in (pair.a, pair.b) if isinstance(p, Path)]
    inputs.demand_images(pictures, least=2)
    prompted = command.prompts.given or all(p.prompt_a or p.prompt_b for p in pairs)
    methods = _methods(command, prompted)
    with kept_work(folder, "pairs") as partial, console.ProgressBars() as bars:
        from diffusion_geodesics.comparison.compare import compare as job

        how = {"external": command.external.load(), "resume": partial, "observer": bars}
        model = command.model.load(bars)
        shown = len(pairs) * len(methods) * command.measuring.frames
        inputs.demand_space(output, model, command.framing, shown)
        result = job(model, pairs, methods, part_of(ComparisonSettings, command), **how)
        show(result, output, bars)


def show(result: "ComparisonResult", output: OutputSettings, observer: "Observer") -> None:
    """Write the folder, and print the table and what to know about it."""
    from diffusion_geodesics.reporting.jobs.comparison import score_rows

    written = output.save(result, observer)
    console.table(["", *result.methods], score_rows(result))
    for skipped in result.skipped:
        console.say(f"skipped: {skipped.name} ({skipped.reason}). {skipped.remedy}.")
    console.say_notes(w for w in result.warnings if w.code != "not_measured")
    names = ("report.html", "table.tex", "table.csv", "pairs.csv", "result.json")
    console.say_files(written.folder, *names)


def _pairs(command: CompareCommand) -> "list[Pair]":
    from diffusion_geodesics.comparison.pairs import Pair, read_pairs

    if command.pairs is not None:
        if command.images:
            raise SettingsError("got two images and pairs; give either")
        return read_pairs(command.pairs)
    if len(command.images) != 2:
        raise SettingsError(f"got {len(command.images)} images; give two, or a file of pairs")
    a, b = command.images
    return [Pair(f"{a.stem}-{b.stem}", a, b)]


def _methods(command: CompareCommand, prompted: bool) -> "list[Method]":
    from diffusion_geodesics.comparison.baselines import OtherProgram
    from diffusion_geodesics.comparison.pairs import strips_in

    methods = [read_method(text) for text in command.method or default_methods(prompted)]
    for text in command.frames_of:
        label, folder = read_named(text)
        strips_in(folder)  # complain before a model is loaded
        methods.append(OtherProgram(label, folder))
    return methods
