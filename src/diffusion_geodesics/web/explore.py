"""The parts of the page that are for exploring, one tab a job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr
from markupsafe import escape

from diffusion_geodesics.web.controls import control_accordion, control_row, named_values
from diffusion_geodesics.web.explorations import (
    PAST,
    PROMPT,
    RANDOM,
    TOWARDS,
    Exploration,
    ExplorationOutcome,
    exploration_work,
)
from diffusion_geodesics.web.fields import settings_from
from diffusion_geodesics.web.job import Job
from diffusion_geodesics.web.runner import Runner, Shared, Updates


def explore(kind: Exploration, shared: Shared) -> None:
    """Lay out one job and connect it."""
    with gr.Row(equal_height=False, elem_classes="work"):
        with gr.Column(scale=4, min_width=320):
            gr.Markdown(kind.about)
            inputs = _inputs(kind.part)
            with gr.Row():
                run = gr.Button("Run", variant="primary", elem_id=f"{kind.part}-run")
                stop = gr.Button("Stop", variant="stop", visible=False)
            message = gr.HTML(elem_id=f"{kind.part}-message", elem_classes="message")
            controls = control_row(kind.settings, kind.first)
            controls |= control_accordion(kind.settings, without=kind.first)
        with gr.Column(scale=7, min_width=320):
            progress = gr.HTML(elem_id=f"{kind.part}-progress", elem_classes="job")
            with gr.Column(visible=False) as shown:
                page = gr.HTML(elem_id=f"{kind.part}-report", elem_classes="job")
                files = gr.File(
                    label="Downloads",
                    file_count="multiple",
                    interactive=False,
                    elem_classes="files",
                )

    def prepare(name: str, values: Sequence[Any]) -> Job:
        given = dict(zip(inputs, values, strict=False))
        compute = kind.prepare(given)
        chosen = named_values(controls, values[len(inputs) :])
        settings = settings_from(kind.settings, None, chosen)
        return Job(exploration_work(compute, settings, shared.folder()))

    def show(outcome: ExplorationOutcome) -> Updates:
        frame = f'<iframe class="report" title="Report" srcdoc="{escape(outcome.page)}"></iframe>'
        return {page: frame, files: outcome.files}

    runner = Runner(shared, kind.part, run, stop, message, progress, shown)
    parts = [*inputs.values(), *controls.values()]
    runner.wire(parts, prepare, show, [page, files])


def _inputs(part: str) -> dict[str, Any]:
    if part == "clip":
        return {"clip": gr.File(label="A video of at most 20 MB", file_types=["video", ".gif"])}
    pictures = gr.File(
        label="Pictures",
        file_count="multiple",
        file_types=["image"],
        allow_reordering=True,
        height=180,
        elem_id=f"{part}-pictures",
    )
    found: dict[str, Any] = {"pictures": pictures}
    if part == "extrapolation":
        found["direction"] = gr.Radio([PAST, TOWARDS, PROMPT, RANDOM], value=PAST, label="Where to")
        found["towards"] = gr.Textbox(label="Prompt to go towards", max_lines=1)
    return found
