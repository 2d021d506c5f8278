"""A button that starts a job, one that stops it, and the job's progress: the same for every job."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, final

import gradio as gr

from diffusion_geodesics.web.failures import explain
from diffusion_geodesics.web.job import Job, State
from diffusion_geodesics.web.job_board import JobBoard
from diffusion_geodesics.web.progress import progress_html
from diffusion_geodesics.web.templates import alert

LOOK_EVERY = 0.3
"""Seconds between two looks at a job."""
QUIET: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
"""Of events that show nothing by themselves and are no part of the API."""
Updates: TypeAlias = dict[Any, Any]
"""New values or properties by component."""


@final
@dataclass(frozen=True, eq=False)
class Shared:
    """What all parts of the page share.

    Args:
        board: where jobs are.
        scratch: folder for what is made.
        token: component that holds what only this page knows.
        model: component with the model's name.
        opened: event of the page being opened, once it has its token.
    """

    board: JobBoard
    scratch: Path
    token: Any
    model: Any
    opened: Any

    def folder(self) -> Path:
        """A new empty folder for one job."""
        return Path(tempfile.mkdtemp(dir=self.scratch))


@final
@dataclass(frozen=True, eq=False)
class Runner:
    """The part of a page that runs one kind of job.

    Args:
        shared: by all parts of the page.
        part: name of this one; a session has one job at a time in each.
        run, stop: the buttons.
        message: one sentence when something is wrong.
        progress: how the job stands.
        results: what is hidden until a job is done.
    """

    shared: Shared
    part: str
    run: Any
    stop: Any
    message: Any
    progress: Any
    results: Any

    def wire(
        self,
        inputs: Sequence[Any],
        prepare: Callable[[str, Sequence[Any]], Job],
        show: Callable[[Any], Updates],
        shown: Sequence[Any],
        restore: Callable[[Any], Updates] = lambda form: {},
    ) -> None:
        """Connect the buttons, and bring back the state of a page that is opened again.

        Args:
            inputs: components that a job is made of.
            prepare: makes the job of the model's name and the values of the inputs; a `ValueError`
                is shown.
            show: what the page shows of an outcome.
            shown: components that `show` and `restore` write to.
            restore: what the page shows of a job's form, when it is opened again.
        """

        token_of = self.shared.token

        async def begin(token: str, name: str, *values: Any) -> AsyncIterator[Updates]:
            try:
                job = await asyncio.to_thread(prepare, name, values)
                self.shared.board.start(self._key(token), name, job)
            except (ValueError, OSError, MemoryError) as error:
                yield {self.message: alert(explain(error))}
                return
            async for updates in self._follow(token, job, show):
                yield updates

        async def resume(token: str) -> AsyncIterator[Updates]:
            job = self.shared.board.find(self._key(token))
            if job is None:
                yield {self.message: ""}
                return
            yield restore(job.form) or {self.message: ""}
            async for updates in self._follow(token, job, show):
                yield updates

        outputs = [self.run, self.stop, self.message, self.progress, self.results, *shown]
        self.run.click(begin, [token_of, self.shared.model, *inputs], outputs, **QUIET)
        self.shared.opened.then(resume, [token_of], outputs, **QUIET)
        self.stop.click(self._stop, [token_of], [self.stop], queue=False, **QUIET)

    async def _follow(
        self, token: str, job: Job, show: Callable[[Any], Updates]
    ) -> AsyncIterator[Updates]:
        """Updates until the job is over, and its outcome."""
        yield {self.message: "", self.results: gr.update(visible=False)}
        before = None
        while True:
            seen = job.look()
            ahead = self.shared.board.ahead(self._key(token)) if seen.state is State.WAITING else 0
            html = progress_html(self.part, seen, job.weights, ahead)
            if html != before:
                yield {self.progress: html, **self._buttons(seen.over)}
            if seen.over:
                break
            before = html
            await asyncio.sleep(LOOK_EVERY)
        if seen.state is State.DONE:
            yield {**show(seen.outcome), self.results: gr.update(visible=True)}

    def _buttons(self, over: bool) -> Updates:
        return {
            self.run: gr.update(interactive=over),
            self.stop: gr.update(visible=not over, interactive=True, value="Stop"),
        }

    def _stop(self, token: str) -> Any:
        job = self.shared.board.find(self._key(token))
        if job is None:
            return gr.skip()
        job.stop()
        return gr.update(value="Stopping …", interactive=False)

    def _key(self, token: str) -> str:
        if len(token) < 32:
            raise ValueError("this page has no key; reload it")
        return f"{token}/{self.part}"
