"""``geodesic analyze CLIP... -o OUT``."""

from pathlib import Path

from diffusion_geodesics.cli import console, inputs
from diffusion_geodesics.cli.options import ConfigOption, Given, chosen, takes
from diffusion_geodesics.cli.shared import ModelSettings, OutputSettings, part_of
from diffusion_geodesics.video.settings import VideoSettings


class AnalyzeCommand(VideoSettings):
    """An analysis with what it is of, by which model, and where it goes."""

    clips: tuple[Path, ...] = ()
    """The clips."""
    model: ModelSettings = ModelSettings()
    output: OutputSettings = OutputSettings()


@takes(AnalyzeCommand, "clips")
def analyze(*clips: Path, config: ConfigOption = None, options: Given = None) -> None:
    """Measure how far clips are from density geodesics, with controls.

    Parameters
    ----------
    clips
        Videos, animations, or folders of frames.
    """
    command = chosen(AnalyzeCommand, options, config, clips=clips)

    output = command.output
    output.checked_folder()
    inputs.demand_clips(command.clips, command.reading.stream)
    with console.ProgressBars() as bars:
        from diffusion_geodesics.video.analyze import analyze as job

        model = command.model.load(bars)
        result = job(model, command.clips, part_of(VideoSettings, command), observer=bars)
        written = output.save(result, bars)
    for claim in result.claims:
        console.say(f"{claim.claim}: {claim.found}: {claim.verdict}")
    console.say(console.cost_line(result.costs))
    console.say_notes(result.warnings)
    console.say_files(written.folder, "report.html", "windows.csv", "frames.csv", "result.json")
