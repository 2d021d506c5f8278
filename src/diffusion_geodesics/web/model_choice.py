"""The choice of a model: those on this machine, or an id typed in; loaded once and kept."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import gradio as gr
from markupsafe import escape

from diffusion_geodesics.web.failures import explain
from diffusion_geodesics.web.job import Job
from diffusion_geodesics.web.job_board import JobBoard
from diffusion_geodesics.web.progress import duration
from diffusion_geodesics.web.runner import LOOK_EVERY
from diffusion_geodesics.web.templates import alert

if TYPE_CHECKING:
    from diffusion_geodesics.models import DiffusionModel


@final
@dataclass(frozen=True, eq=False)
class ModelChoice:
    """The components: the name that is typed or chosen, and how the model stands."""

    name: Any
    status: Any
    ready: Any


def model_choice(default: str, folders: Sequence[Path]) -> ModelChoice:
    """Lay it out.

    Raises:
        ModelError: one of the folders is not there.
    """
    from diffusion_geodesics.models.local import local_models

    names = [m.name for m in local_models(folders) if m.family or m.name == "embedded"]
    name = gr.Dropdown(
        list(dict.fromkeys([default, *names])),
        value=default,
        allow_custom_value=True,
        label="Model",
        info="one of this machine, or the id or folder of another",
        elem_id="model",
    )
    return ModelChoice(name, gr.HTML(elem_id="model-status"), gr.State(0))


async def load_model(board: JobBoard, token: str, name: str) -> AsyncIterator[tuple[str, Any]]:
    """Load a model if it is not, and say how that goes; then change the state `ready`."""
    queue, error = board.queue(name), ""
    while queue.model is None and queue.loading:
        yield f"<p>Loading {escape(name)} …</p>", gr.skip()
        await asyncio.sleep(LOOK_EVERY)
    if queue.model is None:
        key = f"{token}/model"
        if (earlier := board.find(key)) is not None:
            earlier.stop()
        try:
            job = board.start(key, name, Job(lambda model, observer: None))
            while not (seen := job.look()).over:
                so_far = f"{duration(seen.seconds)} so far"
                yield f"<p>Loading {escape(name)}: {so_far}.</p>", gr.skip()
                await asyncio.sleep(LOOK_EVERY)
            error = seen.error
        except ValueError as refused:
            error = explain(refused)
    yield alert(error) if queue.model is None else _described(queue.model), next(_CHANGES)


_CHANGES = itertools.count(1)


def _described(model: DiffusionModel) -> str:
    from diffusion_geodesics.models import as_model

    size = as_model(model).native_size
    height, width = (size, size) if isinstance(size, int) else size
    caveat = f" It is {escape(model.caveat)}." if model.caveat else ""
    toy = " It knows cartoon portraits and nothing else." if model.id == "embedded" else ""
    return f"<p>Loaded, {width} × {height} pixels, on {escape(str(model.device))}.{toy}{caveat}</p>"
