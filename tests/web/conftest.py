"""The server of the page as a process of its own: Gradio warns where warnings are errors here."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

PATIENCE = 90
"""Seconds that a busy machine may take for what takes a few."""


@dataclass(frozen=True)
class Server:
    """A page that is served.

    Args:
        address: of the page.
        folder: where the server runs; it has a tiny model and pictures.
        process: that serves it.
        log: what it prints.
    """

    address: str
    folder: Path
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]


@contextmanager
def serving(folder: Path, *options: str, **environment: str) -> Iterator[Server]:
    """A server that answers, ended afterwards as Ctrl+C would end it."""
    if find_spec("gradio") is None:
        pytest.skip("gradio is missing")
    port = free_port()
    log = folder / f"server-{port}.log"
    words = [
        sys.executable,
        "-m",
        "diffusion_geodesics",
        "web",
        "--no-browser",
        "--port",
        str(port),
    ]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*words, *options],
            cwd=folder,
            stdout=file,
            stderr=file,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )
    try:
        until(lambda: answers(port) or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        yield Server(f"http://127.0.0.1:{port}", folder, process, log)
    finally:
        process.terminate()
        process.wait(60)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model and pictures."""
    from tests.tiny_pipelines import tiny_pipeline

    place = tmp_path_factory.mktemp("web")
    tiny_pipeline(place / "tokenizer").save_pretrained(place / "model")
    rng = np.random.default_rng(0)
    for name in "abc":
        pixels = rng.integers(0, 255, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((48, 40)).save(place / f"{name}.png")
    (place / "text.png").write_text("this is no picture")
    return place


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    """A server with the tiny model chosen."""
    with serving(folder, ".", "--model", "model") as found:
        yield found
