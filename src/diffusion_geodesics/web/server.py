"""The server of the page: who may reach it, where it keeps files, and how it ends."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diffusion_geodesics.web.job import Job
from diffusion_geodesics.web.job_board import JobBoard, Loader
from diffusion_geodesics.web.settings import ServerSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

FIRST_PORT, PORTS = 7860, 20
"""First port that is tried, and how many."""
LARGEST_FILE = 20 * 2**20
"""Bytes of the largest file that is taken."""


def serve(
    settings: ServerSettings,
    loader: Loader,
    model: str,
    folders: Sequence[Path] = (),
    password: str = "",
) -> None:
    """Serve the page until the process is asked to end.

    Raises:
        SettingsError: it would be open to other machines without a password.
        ModelError: one of the folders is not there.
        OSError: the address or the port cannot be used.
    """
    settings.check()
    import uvicorn

    with closing(_socket(settings)) as place:
        scratch = _private_folder()
        board = JobBoard(loader)
        try:
            app = application(settings, board, model, folders, scratch, password)
            address = f"http://{_shown(settings.host)}:{place.getsockname()[1]}"
            print(f"The page is at {address} (end it with Ctrl+C).", file=sys.stderr, flush=True)
            board.start("server/model", model, Job(lambda loaded, observer: None))
            if settings.browser:
                webbrowser.open(address)
            config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
            uvicorn.Server(config).run(sockets=[place])
        finally:
            board.close()
            shutil.rmtree(scratch, ignore_errors=True)


def application(
    settings: ServerSettings,
    board: JobBoard,
    model: str,
    folders: Sequence[Path],
    scratch: Path,
    password: str,
) -> FastAPI:
    """The page behind what guards it; arguments as of `serve`, and a folder for files."""
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from diffusion_geodesics.web.guard import Guard
    from diffusion_geodesics.web.page import page
    from diffusion_geodesics.web.templates import asset

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(Guard, hosts=settings.hosts)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=settings.hosts)
    return gr.mount_gradio_app(
        app,
        page(board, model, folders, scratch),
        path="",
        auth=(settings.auth, password) if settings.auth else None,
        footer_links=["api", "settings"],
        run_history=False,
        max_file_size=LARGEST_FILE,
        enable_monitoring=False,
        ssr_mode=False,
        mcp_server=False,
        show_error=False,
        theme=_theme(),
        css=asset("page.css"),
        head=f"<script>{asset('page.js')}</script>",
    )


def _theme() -> Any:
    """Gradio's, with the fonts of the system: others would be fetched."""
    from gradio.themes import Default

    theme = Default(
        primary_hue="indigo",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return theme.set(  # text of enough contrast
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_title_text_color="*neutral_700",
        block_label_text_color="*neutral_700",
    )


def _private_folder() -> Path:
    """A folder that nobody else can read, for what is uploaded and made; Gradio uses it as well."""
    scratch = Path(tempfile.mkdtemp(prefix="geodesic-web-"))
    os.environ["GRADIO_TEMP_DIR"] = str(scratch / "gradio")
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    return scratch


def _socket(settings: ServerSettings) -> socket.socket:
    """A listening socket: on the port that was asked for, or on the first that is free."""
    first = settings.port or FIRST_PORT
    last = first if settings.port else first + PORTS - 1
    for port in range(first, last + 1):
        try:
            return socket.create_server((settings.host, port))
        except OSError as error:
            if port == last:
                raise OSError(
                    f"cannot listen on {settings.host}, port {first if settings.port else 'any'}: "
                    f"{error.strerror or error}"
                ) from error
    raise AssertionError("no port was tried")


def _shown(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host
