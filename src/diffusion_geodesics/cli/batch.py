"""``geodesic batch PAIRS -o OUT``: many pairs, on one machine or on many."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Group, Parameter
from pydantic import BeforeValidator

from diffusion_geodesics.batch.settings import BatchSettings, EngineName
from diffusion_geodesics.cli.compare import ExternalSettings
from diffusion_geodesics.cli.methods import GRAMMAR, PLAIN, PROMPTED, read_method
from diffusion_geodesics.cli.options import ConfigOption, PresetOption, chosen, options_of
from diffusion_geodesics.cli.shared import ModelSettings, OutputFolder, part_of
from diffusion_geodesics.comparison.settings import ComparisonSettings
from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.image_sets.settings import DistanceSettings
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.runtime.settings import SettingsError
from diffusion_geodesics.runtime.settings_file import read_settings_file

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


class DistanceBatch(DistanceSettings):
    """Distances of many pairs."""

    images: tuple[Path, ...] = ()
    how: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    output: OutputFolder = OutputFolder()


class ExtrapolateBatch(ExtrapolationSettings):
    """Extrapolations of many pairs."""

    images: tuple[Path, ...] = ()
    towards: bool = False
    """Go towards the second image of each pair, instead of from the first one past it."""
    how: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    output: OutputFolder = OutputFolder()


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


class CompareBatch(ComparisonSettings):
    """Comparisons on many pairs."""

    images: tuple[Path, ...] = ()
    method: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    external: ExternalSettings = ExternalSettings()
    how: BatchSettings = BatchSettings()
    model: ModelSettings = ModelSettings()
    output: OutputFolder = OutputFolder()


CompareBatch.model_fields["method"].description = GRAMMAR


def _interpolate(command: InterpolateBatch, pairs: "Sequence[BatchPair]") -> "Job":
    from diffusion_geodesics.batch.jobs.interpolate import InterpolateJob

    settings = part_of(InterpolationSettings, command)
    return InterpolateJob(command.model, settings, command.how.report)


def _distance(command: DistanceBatch, pairs: "Sequence[BatchPair]") -> "Job":
    from diffusion_geodesics.batch.jobs.distance import DistanceJob

    if any(pair.prompt_a or pair.prompt_b for pair in pairs):
        raise SettingsError(
            "distances are under one prompt for all images; give it with --prompt, and "
            "leave prompt_a and prompt_b out"
        )
    images = tuple(dict.fromkeys(path for pair in pairs for path in (pair.a, pair.b)))
    settings = part_of(DistanceSettings, command)
    cache = command.output.folder / "latents"
    return DistanceJob(command.model, settings, command.how.report, images, cache)


def _extrapolate(command: ExtrapolateBatch, pairs: "Sequence[BatchPair]") -> "Job":
    from diffusion_geodesics.batch.jobs.extrapolate import ExtrapolateJob

    settings = part_of(ExtrapolationSettings, command)
    return ExtrapolateJob(command.model, settings, command.how.report, command.towards)


def _compare(command: CompareBatch, pairs: "Sequence[BatchPair]") -> "Job":
    from diffusion_geodesics.batch.jobs.compare import CompareJob

    prompted = command.prompts.given or all(p.prompt_a and p.prompt_b for p in pairs)
    names = command.method or (*PLAIN, *(PROMPTED if prompted else ()))
    settings = part_of(ComparisonSettings, command)
    methods = tuple(read_method(name) for name in names)
    external = command.external
    report = command.how.report
    return CompareJob(command.model, settings, report, methods, external.weights, external.clip)


JOBS: dict[str, tuple[type[Any], Callable[..., "Job"]]] = {
    "interpolate": (InterpolateBatch, _interpolate),
    "distance": (DistanceBatch, _distance),
    "compare": (CompareBatch, _compare),
    "extrapolate": (ExtrapolateBatch, _extrapolate),
}
"""The jobs: the class of their settings, and what makes one."""


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
    parser = App(
        suppress_keyboard_interrupt=False,
        name="geodesic batch",
        help="Interpolate, measure or compare many pairs; resumable, on one machine or on many.",
        help_format="plaintext",
        version_flags=(),
        default_parameter=Parameter(json_dict=False, json_list=False),
    )
    parser.default(_command(name))
    parser(list(tokens), exit_on_error=False, print_error=False, result_action="return_none")


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
    cls = JOBS[name][0]
    group = Group("Settings", sort_key=0)
    job_help = f"What is done with a pair: {', '.join(JOBS)}. [default: interpolate]"

    def batch(
        *pairs: Path,
        job: Annotated[str | None, Parameter(help=job_help, group=group)] = None,
        collect: Annotated[bool, Parameter(negative="", group=group)] = False,
        config: ConfigOption = None,
        preset: PresetOption = None,
        options: Annotated[Any, Parameter(name="*")] = None,
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
        run(pairs[0] if collect else chosen(cls, options, config, preset, images=pairs), name=name)

    batch.__annotations__["options"] = Annotated[
        options_of(cls, without=("images",)) | None, Parameter(name="*")
    ]
    return batch


def run(command: Any, *, name: str) -> None:
    """Check what can be checked, compute, gather, say; only gather, for the folder of a batch."""
    if isinstance(command, Path):
        from diffusion_geodesics.runtime.storage import absolute_path

        _gather(absolute_path(command))
        return
    from diffusion_geodesics.batch.run import check_out, run_batch
    from diffusion_geodesics.batch.sources import pairs_from
    from diffusion_geodesics.cli.batch_progress import ProgressLine

    how: BatchSettings = command.how
    out = check_out(command.output.folder)
    pairs = pairs_from(command.images, all_pairs=how.all_pairs)
    job = JOBS[name][1](command, pairs)
    with ProgressLine() as line:
        if how.engine is EngineName.SLURM:
            from diffusion_geodesics.batch.engines.slurm import run_on_slurm

            progress = run_on_slurm(job, pairs, out, how, observer=line)
        else:
            shard, together = how.shard or (1, 1), how.pairs_per_batch
            pool = _pool(job, out, how)
            progress = run_batch(
                job, pairs, out, pool, shard=shard, together=together, observer=line
            )
    line.summarise(progress)
    if how.shard is None:
        _gather(out)
    else:
        print(f"when all shards are done: geodesic batch {out} --collect", file=sys.stderr)
    if progress.failed:
        sys.exit(1)


def _gather(out: Path) -> None:
    from diffusion_geodesics.batch.collect import collect
    from diffusion_geodesics.cli.console import say_files

    say_files(out, collect(out))


def _pool(job: "Job", out: Path, how: BatchSettings) -> "Pool":
    if how.engine is EngineName.RAY:
        from diffusion_geodesics.batch.engines.ray import RayPool

        return RayPool(job, out, how.retries, how.workers, how.address, how.gpus)
    from diffusion_geodesics.batch.engines.here import LocalPool

    return LocalPool(job, out, how.retries, how.workers)
