"""A film of the page: the job that makes it, and what the page shows of it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.latents.playback import FormatName
from diffusion_geodesics.web.command_line import interpolate_command
from diffusion_geodesics.web.fields import fields_of
from diffusion_geodesics.web.match_lines import matches_html
from diffusion_geodesics.web.pictures import Entries, named, pixels, prompt_setting
from diffusion_geodesics.web.templates import render

if TYPE_CHECKING:
    from diffusion_geodesics.interpolation.result import InterpolationResult
    from diffusion_geodesics.models import DiffusionModel
    from diffusion_geodesics.reporting.report import Report
    from diffusion_geodesics.reporting.writer import Written
    from diffusion_geodesics.runtime.run import Observer
    from diffusion_geodesics.web.job import Work

MOST_FRAMES = 64
"""Most frames under the slider; all are in the files."""
FRAME_HEIGHT = 384
"""Most pixels of a frame under the slider from top to bottom."""


@final
@dataclass(frozen=True)
class FilmOutcome:
    """What the page shows of a film."""

    film: str
    viewer: str
    matches: str
    plots: str
    facts: str
    command: str
    files: list[str]


def film_settings(settings: InterpolationSettings, entries: Entries) -> InterpolationSettings:
    """The settings with the pictures' prompts, and with an mp4, which is what the page plays."""
    formats = settings.playback.format
    changes: dict[str, Any] = dict(prompt_setting(entries))
    if FormatName.MP4 not in formats:
        changes["format"] = (FormatName.MP4, *formats)
    return settings.updated(**changes) if changes else settings.checked()


def film_work(entries: Entries, settings: InterpolationSettings, folder: Path) -> Work:
    """The job that makes a film."""

    def work(model: DiffusionModel, observer: Observer) -> FilmOutcome:
        from diffusion_geodesics.interpolation.interpolate import interpolate
        from diffusion_geodesics.reporting.save import save, to_report

        result = interpolate(model, pixels(entries), settings, observer=observer)
        result = named(result, entries)
        written = save(result, folder / "run", observer=observer)
        report = to_report(result)
        return FilmOutcome(
            film=str(written.folder / "morph.mp4"),
            viewer=viewer_html(result),
            matches=matches_html(result),
            plots=plots_html(report),
            facts=facts_html(report, written.notes),
            command=interpolate_command([e.name for e in entries], settings, model.info),
            files=downloads(written, folder),
        )

    return work


def demand_enough(entries: Entries) -> None:
    """Two pictures at least.

    Raises:
        ValueError: there are fewer.
    """
    if len(entries) < 2:
        missing = "a second picture: drop it" if entries else "two pictures: drop them"
        raise ValueError(f"A film needs {missing} above, or take an example")


def api_settings(values: dict[str, Any]) -> InterpolationSettings:
    """Settings from a program's request: flat names, and perhaps a preset.

    Raises:
        SettingsError: as `JobSettings.of`; settings that name files of this machine are refused.
    """
    from diffusion_geodesics.runtime.settings import SettingsError, unknown_name

    known = {*fields_of(InterpolationSettings), "prompt"}
    given = {name: value for name, value in values.items() if name != "preset"}
    for name in given:
        if name not in known:
            raise SettingsError(unknown_name(name, known, "setting"))
    if "preset" in values:
        return InterpolationSettings.preset(str(values["preset"]), **given)
    return InterpolationSettings.of(**given)


def viewer_html(result: InterpolationResult) -> str:
    """All frames under a slider, with those of the path that it is compared with."""
    from diffusion_geodesics.reporting.embedded import embedded_image
    from diffusion_geodesics.reporting.strip import thin

    strip, other = result.strip, next(iter(result.compared), None)
    kept = thin(len(strip.frames), MOST_FRAMES)
    others = [] if other is None else list(other.frames)
    last = max(len(strip.frames) - 1, 1)
    frames = [
        {
            "address": embedded_image(_colours(strip.frames[i]), FRAME_HEIGHT),
            "caption": f"{i + 1} of {len(strip.frames)}, t = {float(result.times[i]):.2f}",
            "other": round(i / last * (len(others) - 1)),
        }
        for i in kept
    ]
    note = ""
    if other is not None and len(others) != len(strip.frames):
        note = f"{len(others)} frames of {other.name} are shown beside the nearest of the film's."
    return render(
        "viewer",
        name=strip.name,
        other="" if other is None else other.name,
        frames=frames,
        others=[embedded_image(_colours(frame), FRAME_HEIGHT) for frame in others],
        aspect=f"{strip.frames.shape[3] / strip.frames.shape[2]:.4f}",
        note=note,
        chosen=len(frames) // 2,
        split=50 if others else 0,
    )


def plots_html(report: Report) -> str:
    """The plots of a report under the titles of its sections."""
    from markupsafe import Markup

    from diffusion_geodesics.reporting.blocks import Plot

    sections = []
    for number, section in enumerate(report.sections):
        drawings = [block.drawing for block in section.blocks if isinstance(block, Plot)]
        if drawings:
            svgs = [s for i, d in enumerate(drawings) for s in d.svgs(f"web{number}-{i}")]
            sections.append((section.title, [Markup(svg) for svg in svgs]))
    return render("plots", sections=sections)


def facts_html(report: Report, notes: tuple[str, ...]) -> str:
    """How it went, what to know, figures and cost."""
    from diffusion_geodesics.reporting.blocks import Facts
    from diffusion_geodesics.reporting.page import cost_table

    blocks = [block for section in report.sections for block in section.blocks]
    facts = [item for block in blocks if isinstance(block, Facts) for item in block.items]
    warnings = [*report.warnings, *notes]
    return render(
        "facts", lead=report.lead, warnings=warnings, facts=facts, cost=cost_table(report.cost)
    )


def downloads(written: Written, folder: Path) -> list[str]:
    """Films, frames as a zip, report, settings, and all of it as a zip."""
    run = written.folder
    films = sorted(f for f in written.files if f.startswith("morph.") and "/" not in f)
    single = (*films, "report.html", "result.json", "settings.toml")
    frames = shutil.make_archive(str(folder / "frames"), "zip", run, "frames")
    everything = shutil.make_archive(str(folder / "everything"), "zip", run)
    named = [str(run / f) for f in single if f in written.files]
    return [*named, frames, everything]


def _colours(frame: Any) -> Any:
    return frame.detach().float().cpu().clamp(0, 1)
