"""The whole page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import gradio as gr

from diffusion_geodesics.web.api import morph_api
from diffusion_geodesics.web.explorations import EXPLORATIONS
from diffusion_geodesics.web.explore import explore
from diffusion_geodesics.web.job_board import JobBoard
from diffusion_geodesics.web.model_choice import load_model, model_choice
from diffusion_geodesics.web.morph import morph
from diffusion_geodesics.web.runner import QUIET, Shared

TITLE = "Diffusion geodesics"
CLEAN_EVERY, KEEP = 3600, 24 * 3600
"""Seconds between looks at files that were uploaded or made, and how long they are kept."""


def page(board: JobBoard, default_model: str, folders: Sequence[Path], scratch: Path) -> gr.Blocks:
    """Lay out the page and connect it.

    Raises:
        ModelError: one of the folders is not there.
    """
    blocks = gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(CLEAN_EVERY, KEEP))
    with blocks:
        token = gr.Textbox(visible="hidden", label="key")
        with gr.Row(elem_classes="top"):
            with gr.Column(scale=3, min_width=320):
                gr.HTML(f"<h1>{TITLE}</h1><p>Shortest paths through probable images.</p>")
            with gr.Column(scale=2, min_width=320):
                model = model_choice(default_model, folders)
        opened = blocks.load(
            None, None, [token], js="() => geodesicToken()", api_visibility="private"
        )
        shared = Shared(board, scratch, token, model.name, opened)
        with gr.Tabs():
            with gr.Tab("Morph"):
                film = morph(shared, model.ready)
            with gr.Tab("Explore"), gr.Tabs():
                for kind in EXPLORATIONS:
                    with gr.Tab(kind.title):
                        explore(kind, shared)
        morph_api(shared, film.pictures.drop)
        load = partial(load_model, board), [token, model.name], [model.status, model.ready]
        model.name.input(*load, trigger_mode="always_last", **QUIET)
        opened.then(*load, **QUIET)
    blocks.queue(default_concurrency_limit=None, api_open=False)
    return blocks
