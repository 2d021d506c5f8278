"""``geodesic analyze CLIP... -o OUT``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from diffusion_geodesics.cli.options import ConfigOption, chosen, options_of
from diffusion_geodesics.cli.shared import ModelSettings, OutputSettings, part_of
from diffusion_geodesics.video.settings import VideoSettings


class AnalyzeCommand(VideoSettings):
    """An analysis with what it is of, by which model, and where it goes."""

    clips: tuple[Path, ...] = ()
    """The clips."""
    model: ModelSettings = ModelSettings()
    output: OutputSettings = OutputSettings()


if TYPE_CHECKING:
    Options = dict[str, Any]
else:
    Options = options_of(AnalyzeCommand, without=("clips",))


def analyze(
    *clips: Path,
    config: ConfigOption = None,
    options: Annotated[Options | None, Parameter(name="*")] = None,
) -> None:
    """Measure how far clips are from density geodesics, with controls.

    Parameters
    ----------
    clips
        Videos, animations, or folders of frames.
    """
    run(chosen(AnalyzeCommand, options, config, clips=clips))


def run(command: AnalyzeCommand) -> None:
    """Check what can be checked, load, analyse, write."""
    from diffusion_geodesics.cli.console import ProgressBars, say, say_files, say_notes
    from diffusion_geodesics.cli.inputs import demand_clips
    from diffusion_geodesics.runtime.storage import check_folder

    output = command.output
    check_folder(output.folder, overwrite=output.overwrite)
    demand_clips(command.clips, command.reading.stream)
    with ProgressBars() as bars:
        from diffusion_geodesics.reporting.save import save
        from diffusion_geodesics.video.analyze import analyze as job

        model = command.model.load(bars)
        result = job(model, command.clips, part_of(VideoSettings, command), observer=bars)
        written = save(result, output.folder, overwrite=output.overwrite, observer=bars)
    for claim in result.claims:
        say(f"{claim.claim}: {claim.found}: {claim.verdict}")
    cost = result.costs.total
    say(f"{cost.nfe} network evaluations in {cost.seconds:.1f} s")
    say_notes(result.warnings)
    say_files(written.folder, ("report.html", "windows.csv", "frames.csv", "result.json"))
