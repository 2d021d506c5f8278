"""A button that starts a job, one that stops it, and the job's progress: the same for every job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, final

import gradio as gr

from diffusion_geodesics.web.failures import explain
from diffusion_geodesics.web.job import Job, State
from diffusion_geodesics.web.job_board import JobBoard
from diffusion_geodesics.web.progress import progress_html
from diffusion_geodesics.web.templates import alert

LOOK_EVERY = 0.3
"""Seconds between two looks at a job."""
Updates: TypeAlias = dict[Any, Any]
"""New values or properties by component."""


@final
@dataclass(frozen=True, eq=False)
class Reopening:
    """What brings back a part of the page, given the token, and the components it writes to."""

    resume: Callable[[str], AsyncIterator[Updates]]
    outputs: list[Any]


@final
@dataclass(frozen=True, eq=False)
class Runner:
    """The part of a page that runs one kind of job.

    Args:
        board: where jobs are.
        part: name of this part of the page; a session has one job at a time in each.
        token: holds what only this page knows.
        run, stop: the buttons.
        message: one sentence when something is wrong.
        progress: how the job stands.
        results: what is hidden until a job is done.
    """

    board: JobBoard
    part: str
    token: Any
    run: Any
    stop: Any
    message: Any
    progress: Any
    results: Any

    def wire(
        self,
        model: Any,
        inputs: Sequence[Any],
        prepare: Callable[[str, Sequence[Any]], Job],
        show: Callable[[Any], Updates],
        shown: Sequence[Any],
        restore: Callable[[Any], Updates] = lambda form: {},
    ) -> Reopening:
        """Connect the buttons.

        Args:
            model: component with the model's name.
            inputs: components that a job is made of.
            prepare: makes the job of the model's name and the values of the inputs; a `ValueError`
                is shown.
            show: what the page shows of an outcome.
            shown: components that `show` and `restore` write to.
            restore: what the page shows of a job's form, when it is opened again.

        Returns:
            What brings back the state of the page when it is opened again.
        """

        async def begin(token: str, name: str, *values: Any) -> AsyncIterator[Updates]:
            try:
                job = await asyncio.to_thread(prepare, name, values)
                self.board.start(self._key(token), name, job)
            except (ValueError, OSError, MemoryError) as error:
                yield {self.message: alert(explain(error))}
                return
            async for updates in self._follow(token, job, show):
                yield updates

        async def resume(token: str) -> AsyncIterator[Updates]:
            job = self.board.find(self._key(token))
            if job is None:
                yield {self.message: ""}
                return
            yield restore(job.form) or {self.message: ""}
            async for updates in self._follow(token, job, show):
                yield updates

        self.run.click(
            begin,
            [self.token, model, *inputs],
            [*self.outputs, *shown],
            show_progress="hidden",
            concurrency_limit=None,
            api_visibility="private",
        )
        self.run.click(None, js=f"() => geodesicReveal('{self.part}-progress')")
        self.stop.click(
            self._stop, [self.token], [self.stop], queue=False, api_visibility="private"
        )
        return Reopening(resume, [*self.outputs, *shown])

    @property
    def outputs(self) -> list[Any]:
        """The components that every job writes to."""
        return [self.run, self.stop, self.message, self.progress, self.results]

    async def _follow(
        self, token: str, job: Job, show: Callable[[Any], Updates]
    ) -> AsyncIterator[Updates]:
        """Updates until the job is over, and its outcome."""
        yield {self.message: "", self.results: gr.update(visible=False)}
        before = None
        while True:
            seen = job.look()
            ahead = self.board.ahead(self._key(token)) if seen.state is State.WAITING else 0
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
        job = self.board.find(self._key(token))
        if job is None:
            return gr.skip()
        job.stop()
        return gr.update(value="Stopping …", interactive=False)

    def _key(self, token: str) -> str:
        if len(token) < 32:
            raise ValueError("this page has no key; reload it")
        return f"{token}/{self.part}"
