"""The part of the page that makes films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import gradio as gr

from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.web.controls import (
    Controls,
    control_accordion,
    control_row,
    named_values,
)
from diffusion_geodesics.web.estimate import Estimates
from diffusion_geodesics.web.failures import explain
from diffusion_geodesics.web.fields import preset_values, settings_from
from diffusion_geodesics.web.film import FilmOutcome, demand_enough, film_settings, film_work
from diffusion_geodesics.web.job import Job
from diffusion_geodesics.web.picture_rows import PictureRows, picture_rows
from diffusion_geodesics.web.pictures import Entries, prompted
from diffusion_geodesics.web.runner import QUIET, Runner, Shared, Updates
from diffusion_geodesics.web.templates import alert

ROWS = (("frames", "strength", "level"), ("loop", "format"))
"""Settings that stand above all the others."""
ABSENT = ("feather",)
"""Settings of what the page does not offer: masks."""
KINDS = (
    "natural: what both pictures share moves. geodesic: the shortest path through probable images. "
    "slerp: a plain blend. published: the paper's own algorithm, slow. draft: a quick look."
)
"""What the presets are, in words."""
PIECES = {
    "viewer": "Frames",
    "plots": "Density",
    "matches": "Matches",
    "facts": "What to know",
}
"""Pieces of an outcome that have a tab of their own."""


@final
@dataclass(frozen=True)
class Form:
    """What a film was asked for with, so that the page can show it again."""

    entries: Entries
    preset: str
    values: tuple[Any, ...]


@final
@dataclass(frozen=True, eq=False)
class Morph:
    """The components of this part."""

    pictures: PictureRows
    preset: Any
    controls: Controls
    estimate: Any
    runner: Runner
    results: dict[str, Any]


def morph(shared: Shared, ready: Any) -> Morph:
    """Lay it out and connect it."""
    with gr.Row(equal_height=False, elem_classes="work"):
        with gr.Column(scale=5, min_width=340):
            pictures = picture_rows()
            preset = gr.Radio(
                list(InterpolationSettings.presets),
                value="natural",
                label="Kind of film",
                info=KINDS,
            )
            estimate = gr.HTML(elem_classes="estimate")
            with gr.Row():
                run = gr.Button("Make the film", variant="primary", elem_id="run")
                stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop")
            message = gr.HTML(elem_id="message", elem_classes="message")
            controls = {}
            for names in ROWS:
                controls |= control_row(InterpolationSettings, names)
            controls |= control_accordion(InterpolationSettings, without=(*controls, *ABSENT))
        with gr.Column(scale=6, min_width=340):
            progress = gr.HTML(_WELCOME, elem_id="morph-progress", elem_classes="job")
            with gr.Column(visible=False, elem_id="results") as shown:
                results = _results()
    runner = Runner(shared, "morph", run, stop, message, progress, shown)
    found = Morph(pictures, preset, controls, estimate, runner, results)
    _connect(found, shared, ready)
    return found


_WELCOME = (
    "<p class='welcome'>Two pictures become each other along a path through probable images. "
    "Drop two of your own on the left, or take an example, and press <b>Make the film</b>.</p>"
)


def _results() -> dict[str, Any]:
    found: dict[str, Any] = {
        "film": gr.Video(label="Film", autoplay=True, loop=True, elem_id="film", height=400),
    }
    with gr.Tabs():
        for name, title in PIECES.items():
            with gr.Tab(title):
                found[name] = gr.HTML()
        with gr.Tab("Downloads"):
            found["files"] = gr.File(
                label="Files",
                file_count="multiple",
                interactive=False,
                elem_id="files",
                elem_classes="files",
            )
            found["command"] = gr.Code(
                label="The command that makes the same",
                language=None,
                interactive=False,
                lines=1,
                wrap_lines=True,
                elem_id="command",
            )
    return found


def _connect(found: Morph, shared: Shared, ready: Any) -> None:
    pictures, controls = found.pictures, found.controls
    estimates = Estimates(shared.board)
    inputs = [pictures.entries, found.preset, *pictures.prompts, *controls.values()]

    def read(values: Sequence[Any]) -> tuple[Form, InterpolationSettings]:
        entries, preset, *rest = values
        prompts, chosen = rest[: len(pictures.prompts)], rest[len(pictures.prompts) :]
        form = Form(prompted(entries, prompts), preset, tuple(chosen))
        settings = settings_from(InterpolationSettings, preset, named_values(controls, chosen))
        return form, film_settings(settings, form.entries)

    def prepare(name: str, values: Sequence[Any]) -> Job:
        form, settings = read(values)
        demand_enough(form.entries)
        weights = estimates.seconds(name, settings, len(form.entries))
        return Job(film_work(form.entries, settings, shared.folder()), form, weights)

    def price(name: str, *values: Any) -> str:
        try:
            form, settings = read(values)
            return estimates.words(name, settings, len(form.entries))
        except (ValueError, OSError, MemoryError) as error:
            return alert(explain(error))

    def show(outcome: FilmOutcome) -> Updates:
        return {part: getattr(outcome, name) for name, part in found.results.items()}

    def restore(form: Form) -> Updates:
        chosen = dict(zip(controls.values(), form.values, strict=True))
        return {**pictures.show(form.entries), found.preset: form.preset, **chosen}

    def start_from(preset: str) -> Updates:
        values = preset_values(InterpolationSettings, preset)
        return {component: values[name] for name, component in controls.items()}

    shown = [*pictures.shown, found.preset, *controls.values(), *found.results.values()]
    found.preset.input(start_from, found.preset, list(controls.values()), queue=False, **QUIET)
    gr.on(
        [c.change for c in (pictures.entries, ready, *controls.values())],
        price,
        [shared.model, *inputs],
        found.estimate,
        trigger_mode="always_last",
        **QUIET,
    )
    found.runner.wire(inputs, prepare, show, shown, restore)
