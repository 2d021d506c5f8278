"""The film as a function of the web API, for programs: ``/morph`` of `gradio_client`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr

from diffusion_geodesics.web.failures import explain
from diffusion_geodesics.web.film import api_settings, film_settings, film_work
from diffusion_geodesics.web.job import Job, State
from diffusion_geodesics.web.pictures import taken
from diffusion_geodesics.web.runner import Shared

LOOK_EVERY = 0.1
"""Seconds between two looks at a job."""


def morph_api(shared: Shared, pictures: Any) -> None:
    """Offer the function, with a component that takes files."""

    async def morph(images: list[str], settings: Any, model: str) -> AsyncIterator[tuple[Any, ...]]:
        """Make a film.

        Give two to twelve pictures, settings by name such as {"preset": "draft", "frames": 33},
        and the name of a model. Returns the film and all files; result.json has the figures.
        """
        try:
            job = await asyncio.to_thread(_job, shared, images or [], settings or {})
            shared.board.start(f"{secrets.token_hex(24)}/api", model, job)
        except (ValueError, OSError, MemoryError) as error:
            raise gr.Error(explain(error), print_exception=False) from None
        try:
            while not job.look().over:
                yield None, None
                await asyncio.sleep(LOOK_EVERY)
        finally:  # a program that goes away or cancels
            job.stop()
        seen = job.look()
        if seen.state is not State.DONE:
            raise gr.Error(seen.error or "The job was stopped.", print_exception=False)
        yield seen.outcome.film, seen.outcome.files

    with gr.Row(visible=False):
        settings, film = gr.JSON(label="settings"), gr.File(label="film")
        files = gr.File(label="files", file_count="multiple")
        gr.Button().click(
            morph,
            [pictures, settings, shared.model],
            [film, files],
            api_name="morph",
        )


def _job(shared: Shared, images: list[str], values: dict[str, Any]) -> Job:
    entries = taken(images, 2, "a film")
    settings = film_settings(api_settings(values), entries)
    return Job(film_work(entries, settings, shared.folder()))
