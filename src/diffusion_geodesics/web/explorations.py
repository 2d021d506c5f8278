"""The jobs that are for exploring: each is that of a command, and shows its report. No Gradio."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from diffusion_geodesics.extrapolation.settings import ExtrapolationSettings
from diffusion_geodesics.image_sets.settings import DensitySettings, DistanceSettings
from diffusion_geodesics.runtime.settings import JobSettings
from diffusion_geodesics.video.settings import VideoSettings
from diffusion_geodesics.web.pictures import Entries, named, pixels, taken

if TYPE_CHECKING:
    from diffusion_geodesics.models import DiffusionModel
    from diffusion_geodesics.runtime.run import Observer
    from diffusion_geodesics.web.job import Work

Inputs = Mapping[str, Any]
"""What a visitor gave, by name: files, texts, choices."""
Compute = Callable[["DiffusionModel", Any, "Observer"], object]
"""What gives a result, from the model, the settings and an observer."""

PAST, TOWARDS, PROMPT, RANDOM = (
    "past the second picture",
    "towards the second picture",
    "towards a prompt",
    "in a random direction",
)
"""Directions of an extrapolation."""


@final
@dataclass(frozen=True)
class Exploration:
    """One job of a command."""

    part: str
    title: str
    about: str
    settings: type[JobSettings]
    first: tuple[str, ...]
    prepare: Callable[[Inputs], Compute]


@final
@dataclass(frozen=True)
class ExplorationOutcome:
    """The report as a page, and files to be downloaded."""

    page: str
    files: list[str]


def exploration_work(compute: Compute, settings: JobSettings, folder: Path) -> Work:
    """The job that computes a result and writes its report into a folder."""

    def work(model: DiffusionModel, observer: Observer) -> ExplorationOutcome:
        from diffusion_geodesics.reporting.save import save

        written = save(compute(model, settings, observer), folder / "run", observer=observer)
        page = (written.folder / "report.html").read_text("utf-8")
        films = [str(written.folder / f) for f in written.files if f.startswith("morph.")]
        everything = shutil.make_archive(str(folder / "everything"), "zip", written.folder)
        return ExplorationOutcome(page, [str(written.folder / "report.html"), *films, everything])

    return work


def _over(job: Callable[..., Any], entries: Entries) -> Compute:
    """A job on pictures, with their names in its result."""
    return lambda model, settings, observer: named(
        job(model, pixels(entries), settings, observer=observer), entries
    )


def _distances(inputs: Inputs) -> Compute:
    from diffusion_geodesics.image_sets.distances import image_distances

    return _over(image_distances, taken(inputs["pictures"], 2, "a distance matrix"))


def _densities(inputs: Inputs) -> Compute:
    from diffusion_geodesics.image_sets.densities import image_densities

    return _over(image_densities, taken(inputs["pictures"], 1, "a density"))


def _extrapolation(inputs: Inputs) -> Compute:
    from diffusion_geodesics.extrapolation.directions import (
        Direction,
        Past,
        RandomTangent,
        Towards,
        TowardsPrompt,
    )
    from diffusion_geodesics.extrapolation.extrapolate import extrapolate

    where, prompt = inputs["direction"], (inputs["towards"] or "").strip()
    count = 2 if where in (PAST, TOWARDS) else 1
    entries = taken(inputs["pictures"], count, f"a ray {where}")[:count]
    if where == PROMPT and not prompt:
        raise ValueError("Got no prompt to go towards; write what the picture shall become")

    def ray(model: DiffusionModel, pictures: list[Any], settings: Any, observer: Observer) -> Any:
        directions: dict[str, Callable[[], Direction]] = {
            PAST: lambda: Past(pictures[1]),
            TOWARDS: lambda: Towards(pictures[1]),
            PROMPT: lambda: TowardsPrompt(prompt),
            RANDOM: RandomTangent,
        }
        return extrapolate(model, pictures[0], directions[where](), settings, observer=observer)

    return _over(ray, entries)


def _analysis(inputs: Inputs) -> Compute:
    from diffusion_geodesics.video.analyze import analyze

    clip = inputs["clip"]
    if not clip:
        raise ValueError("Got no clip; drop a video")
    return lambda model, settings, observer: analyze(model, clip, settings, observer=observer)


EXPLORATIONS = (
    Exploration(
        "distances",
        "Distances",
        "Distances between all pairs of pictures under one metric or all, and a map of them.",
        DistanceSettings,
        ("metric", "strength", "level"),
        _distances,
    ),
    Exploration(
        "density",
        "Density",
        "How probable pictures are: absolute log densities with error bars.",
        DensitySettings,
        ("level", "probes"),
        _densities,
    ),
    Exploration(
        "extrapolation",
        "Extrapolation",
        "On from a picture along a geodesic.",
        ExtrapolationSettings,
        ("frames", "t_max", "strength"),
        _extrapolation,
    ),
    Exploration(
        "clip",
        "Clip",
        "How far a video is from density geodesics, window by window, with controls.",
        VideoSettings,
        ("window", "start", "end"),
        _analysis,
    ),
)
