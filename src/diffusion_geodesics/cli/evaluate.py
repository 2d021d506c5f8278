"""``geodesic evaluate RUNS... -o OUT``."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from diffusion_geodesics.cli.compare import ExternalSettings, show
from diffusion_geodesics.cli.console import ProgressBars
from diffusion_geodesics.cli.methods import read_named
from diffusion_geodesics.cli.options import ConfigOption, Given, chosen, takes
from diffusion_geodesics.cli.shared import OutputSettings
from diffusion_geodesics.runtime import settings
from diffusion_geodesics.runtime.settings import SettingsError


class Ranking(settings.SettingsGroup):
    """What is compared with what."""

    title: ClassVar[str] = "Measures"

    pairs: Path | None = None
    """The images that were joined: a CSV or JSON file, or a folder such as MorphBench. Without them
    nothing is measured at the ends."""
    frames: int = Field(default=9, ge=3, le=10_000)
    """Frames of each strip, both ends included."""
    baseline: str | None = None
    """The method that win rates are against; slerp, or the first."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of all resampling."""


class EvaluateCommand(settings.JobSettings):
    """An evaluation with its runs, and where it goes."""

    runs: Annotated[tuple[str, ...], settings.Marker.NAMED_FOLDER] = ()
    """Folders of frames."""
    ranking: Ranking = Ranking()
    external: ExternalSettings = ExternalSettings()
    output: OutputSettings = OutputSettings()


@takes(EvaluateCommand, "runs")
def evaluate(*runs: str, config: ConfigOption = None, options: Given = None) -> None:
    """Measure and rank strips of frames, whoever made them. Needs no model.

    Parameters
    ----------
    runs
        FOLDER or NAME=FOLDER, one a method: of frames, of a run of ours, or of one such folder a
        pair.
    """
    command = chosen(EvaluateCommand, options, config, runs=runs)

    named = [read_named(text) for text in command.runs]
    names = [name for name, _ in named]
    if not named:
        raise SettingsError("got no runs; give at least one folder of frames")
    if doubled := sorted({n for n in names if names.count(n) > 1}):
        raise SettingsError(f"two runs are called {doubled[0]}; name them, as NAME=FOLDER")
    output, ranking = command.output, command.ranking
    output.checked_folder()
    with ProgressBars() as bars:
        from diffusion_geodesics.comparison.evaluate import evaluate as job
        from diffusion_geodesics.comparison.pairs import read_pairs

        how = ranking.model_dump(include={"frames", "baseline", "seed"})
        pairs = read_pairs(ranking.pairs) if ranking.pairs else []
        external = command.external.load()
        result = job(dict(named), pairs=pairs, external=external, observer=bars, **how)
        show(result, output, bars)
