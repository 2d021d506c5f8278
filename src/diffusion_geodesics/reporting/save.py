"""Saving: the result of any job as one folder."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import singledispatch
from pathlib import Path
from typing import NoReturn

from torch import Tensor

from diffusion_geodesics.comparison.result import ComparisonResult
from diffusion_geodesics.extrapolation.result import ExtrapolationResult
from diffusion_geodesics.image_sets.densities import DensitiesResult
from diffusion_geodesics.image_sets.distances import DistancesResult
from diffusion_geodesics.interpolation.result import InterpolationResult
from diffusion_geodesics.reporting.blocks import Block, VideoClip
from diffusion_geodesics.reporting.jobs.comparison import comparison_report
from diffusion_geodesics.reporting.jobs.densities import densities_report
from diffusion_geodesics.reporting.jobs.distances import distances_report
from diffusion_geodesics.reporting.jobs.extrapolation import extrapolation_report
from diffusion_geodesics.reporting.jobs.interpolation import interpolation_report
from diffusion_geodesics.reporting.jobs.video import video_report
from diffusion_geodesics.reporting.playback import Upscaler
from diffusion_geodesics.reporting.report import Report
from diffusion_geodesics.reporting.writer import Written, put, safetensors_bytes, write
from diffusion_geodesics.runtime.run import Observer, Run
from diffusion_geodesics.runtime.storage import staged_folder
from diffusion_geodesics.video.result import VideoResult


@singledispatch
def to_report(result: object) -> Report:
    """The report of a job's result."""
    raise TypeError(
        f"got a {type(result).__name__}; expected the result of interpolate, extrapolate, analyze, "
        "image_distances, image_densities, compare or evaluate"
    )


to_report.register(InterpolationResult, interpolation_report)
to_report.register(ExtrapolationResult, extrapolation_report)
to_report.register(VideoResult, video_report)
to_report.register(DistancesResult, distances_report)
to_report.register(DensitiesResult, densities_report)
to_report.register(ComparisonResult, comparison_report)


def save(
    result: object,
    folder: str | Path,
    *,
    overwrite: bool = False,
    report: bool = True,
    observer: Observer | None = None,
    upscaler: Upscaler | None = None,
) -> Written:
    """Write the result of a job into one folder, all of it or nothing.

    The folder gets ``report.html``, ``result.json``, ``settings.toml`` (from which the run can be
    repeated), and what the job makes: frames, strips, films, tables, latents.

    Args:
        result: of any job.
        folder: a new folder, or one of ours with ``overwrite``.
        overwrite: replace an earlier run in the folder.
        report: False to leave out strips, plots, films and what is on the page besides its head,
            which for many small results take longer than the rest.
        observer: told when writing begins and ends.
        upscaler: enlarges the frames of film files, in place of Lanczos resampling: takes frames
            (n, 3 or 4, height, width) in [0, 1], a few at a time, and returns as many larger ones.

    Raises:
        FileExistsError: the folder is there, and is not one of ours to overwrite.
        UnsavedError: it could not be written; the error names where what was computed is kept.
        TypeError: no result of a job.
    """
    with Run(observer).stage("write"):
        try:
            found = to_report(result)
        except Exception as error:
            _keep(result, folder, overwrite, error)
        if not report:
            found = replace(found, opening=(), sections=())
        if upscaler is not None:
            found = replace(found, opening=[_enlarged(b, upscaler) for b in found.opening])
        return write(found, folder, overwrite=overwrite)


def _keep(result: object, folder: str | Path, overwrite: bool, error: Exception) -> NoReturn:
    """Keep the tensors of a result that no report could be made of."""
    tensors = dict(_tensors(result, ""))
    if not tensors:
        raise error
    with staged_folder(folder, overwrite=overwrite) as staging:
        put(staging / "result.safetensors", safetensors_bytes(tensors))
        raise error


def _tensors(value: object, name: str) -> Iterator[tuple[str, Tensor]]:
    """All tensors of a result, by the names of the fields that they are in."""
    inside: Iterable[tuple[object, object]] = ()
    if isinstance(value, Tensor):
        yield name, value
    elif is_dataclass(value):
        inside = ((field.name, getattr(value, field.name, None)) for field in fields(value))
    elif isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    for key, each in inside:
        yield from _tensors(each, f"{name}.{key}".removeprefix("."))


def _enlarged(block: Block, upscaler: Upscaler) -> Block:
    if not isinstance(block, VideoClip):
        return block
    return replace(block, playback=replace(block.playback, upscale=upscaler))
