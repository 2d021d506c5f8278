"""``geodesic batch PAIRS -o OUT``: many pairs, on one machine or on many."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Group, Parameter
from pydantic import Field

from diffusion_geodesics.batch.settings import BatchSettings, EngineName
from diffusion_geodesics.cli.batch_progress import ProgressLine
from diffusion_geodesics.cli.compare import ExternalSettings
from diffusion_geodesics.cli.console import say_files
from diffusion_geodesics.cli.methods import GRAMMAR, default_methods, read_method
from diffusion_geodesics.cli.options import ConfigOption, Given, PresetOption, chosen, takes
from diffusion_geodesics.cli.shared import ModelSettings, OutputFolder, Texts, part_of
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.image_sets.settings import DistanceSettings, MetricName
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.runtime.settings import SettingsError
from diffusion_geodesics.runtime.settings_file import read_settings_file
from diffusion_geodesics.runtime.storage import absolute_path

if TYPE_CHECKING:
    from diffusion_geodesics.batch.job import Job
    from diffusion_geodesics.batch.manifest import BatchPair
    from diffusion_geodesics.batch.pool import Pool


class InterpolateBatch(InterpolationSettings):
    """Interpolations of many pairs."""

    images: tuple[Path, ...] = ()
    how: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    output: OutputFolder = OutputFolder()

    def job(self, pairs: "Sequence[BatchPair]") -> "Job":
        from diffusion_geodesics.batch.jobs.pair_jobs import InterpolateJob

        return InterpolateJob(self.model, part_of(InterpolationSettings, self), self.how.report)


class DistanceBatch(DistanceSettings):
    """Distances of many pairs."""

    images: tuple[Path, ...] = ()
    how: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    output: OutputFolder = OutputFolder()

    def job(self, pairs: "Sequence[BatchPair]") -> "Job":
        from diffusion_geodesics.batch.jobs.distance import DistanceJob

        metric = self.distance.metric
        if metric is not MetricName.DENSITY:
            raise SettingsError(
                f"metric is {metric.value}; a batch measures distances of the density "
                "only: leave it out, or give the images to geodesic distance"
            )
        if any(pair.prompt_a or pair.prompt_b for pair in pairs):
            raise SettingsError(
                "distances are under one prompt for all images; give it with --prompt, and "
                "leave prompt_a and prompt_b out"
            )
        images = tuple(dict.fromkeys(path for pair in pairs for path in (pair.a, pair.b)))
        settings, cache = part_of(DistanceSettings, self), self.output.folder / "latents"
        return DistanceJob(self.model, settings, self.how.report, images, cache)


class ExtrapolateBatch(ExtrapolationSettings):
    """Extrapolations of many pairs."""

    images: tuple[Path, ...] = ()
    how: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    output: OutputFolder = OutputFolder()
    towards: bool = False
    """Go towards the second image of each pair, instead of from the first one past it."""

    def job(self, pairs: "Sequence[BatchPair]") -> "Job":
        from diffusion_geodesics.batch.jobs.pair_jobs import ExtrapolateJob

        settings = part_of(ExtrapolationSettings, self)
        return ExtrapolateJob(self.model, settings, self.how.report, self.towards)


class CompareBatch(ComparisonSettings):
    """Comparisons on many pairs."""

    images: tuple[Path, ...] = ()
    how: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    output: OutputFolder = OutputFolder()
    method: Texts = Field(default=(), description=GRAMMAR)
    external: ExternalSettings = ExternalSettings()

    def job(self, pairs: "Sequence[BatchPair]") -> "Job":
        from diffusion_geodesics.batch.jobs.pair_jobs import CompareJob

        prompted = self.prompts.given or all(p.prompt_a and p.prompt_b for p in pairs)
        methods = tuple(read_method(name) for name in self.method or default_methods(prompted))
        settings, networks = part_of(ComparisonSettings, self), self.external
        own = methods, networks.weights, networks.clip
        return CompareJob(self.model, settings, self.how.report, *own)


BatchCommand = InterpolateBatch | DistanceBatch | CompareBatch | ExtrapolateBatch
JOBS: dict[str, type[BatchCommand]] = {
    "interpolate": InterpolateBatch,
    "distance": DistanceBatch,
    "compare": CompareBatch,
    "extrapolate": ExtrapolateBatch,
}


def batch(*tokens: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> None:
    """Interpolate, measure or compare many pairs; resumable, on one machine or on many.

    Parameters
    ----------
    tokens
        Pairs and options. Which options there are depends on the job.
    """
    name = _job_of(tokens)
    if name not in JOBS:
        raise SettingsError(f"the job is {name!r}; expected one of {', '.join(JOBS)}")
    from diffusion_geodesics.cli.main import PARSING, parse

    purpose = "Interpolate, measure or compare many pairs; resumable, on one machine or on many."
    parser = App(name="geodesic batch", help=purpose, version_flags=(), **PARSING)
    parser.default(_command(name))
    parse(parser, tokens)


def _job_of(tokens: tuple[str, ...]) -> str:
    """The job that options or the file of settings name; interpolations by default."""
    given: dict[str, str] = {}
    for token, following in zip(tokens, (*tokens[1:], ""), strict=True):
        for option in ("--job", "--config"):
            if token == option:
                given[option] = following
            elif token.startswith(f"{option}="):
                given[option] = token.partition("=")[2]
    if "--config" in given and "--job" not in given:
        return str(read_settings_file(given["--config"]).get("job", "interpolate"))
    return given.get("--job", "interpolate")


def _command(name: str) -> Callable[..., None]:
    """The command with the options of a job."""
    cls, group = JOBS[name], Group("Settings", sort_key=0)
    job_help = f"What is done with a pair: {', '.join(JOBS)}. [default: interpolate]"

    @takes(cls, "images")
    def batch(
        *pairs: Path,
        job: Annotated[str | None, Parameter(help=job_help, group=group)] = None,
        collect: Annotated[bool, Parameter(negative="", group=group)] = False,
        config: ConfigOption = None,
        preset: PresetOption = None,
        options: Given = None,
    ) -> None:
        """Parse the options of the job.

        Parameters
        ----------
        pairs
            A CSV, JSON or JSONL file with a, b and perhaps name, prompt_a, prompt_b; a folder such
            as MorphBench; with --all-pairs images; with --collect the folder of a batch.
        collect
            Only gather the results of a batch: table, summary and gallery.
        """
        if collect and (len(pairs) != 1 or options or config or preset):
            raise SettingsError("give the folder of one batch, and --collect alone")
        if collect:
            _gather(absolute_path(pairs[0]))
        else:
            run(chosen(cls, options, config, preset, images=pairs))

    return batch


def run(command: BatchCommand) -> None:
    """Check what can be checked, compute, gather, say."""
    from diffusion_geodesics.batch.run import check_out, run_batch
    from diffusion_geodesics.batch.sources import pairs_from

    how = command.how
    out = check_out(command.output.folder)
    pairs = pairs_from(command.images, all_pairs=how.all_pairs)
    job = command.job(pairs)
    with ProgressLine() as line:
        if how.engine is EngineName.SLURM:
            from diffusion_geodesics.batch.engines.slurm import run_on_slurm

            progress = run_on_slurm(job, pairs, out, how, observer=line)
        else:
            part = {"shard": how.shard or (1, 1), "together": how.pairs_per_batch}
            progress = run_batch(job, pairs, out, _pool(job, out, how), observer=line, **part)
    line.summarise(progress)
    if how.shard is None:
        _gather(out)
    else:
        print(f"when all shards are done: geodesic batch {out} --collect", file=sys.stderr)
    if progress.failed:
        sys.exit(1)


def _gather(out: Path) -> None:
    """Table, summary and gallery of the results of a batch."""
    from diffusion_geodesics.batch.collect import collect

    say_files(out, *collect(out))


def _pool(job: "Job", out: Path, how: BatchSettings) -> "Pool":
    if how.engine is EngineName.RAY:
        from diffusion_geodesics.batch.engines.ray import RayPool

        return RayPool(job, out, how.retries, how.workers, how.address, how.gpus)
    from diffusion_geodesics.batch.engines.here import LocalPool

    return LocalPool(job, out, how.retries, how.workers)
