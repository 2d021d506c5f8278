"""Jobs in threads: one at a time for a model, stopped at the next step, few that wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from diffusion_geodesics.runtime.run import Event, Observer, Run
from diffusion_geodesics.web.failures import explain
from diffusion_geodesics.web.job import Job, State, StoppedError
from diffusion_geodesics.web.job_board import MOST_WAITING, BusyError, JobBoard

# the model is never looked at here: any object stands in for it
MODEL: Any = object()


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


class Gate:
    """Work that goes on step by step while its gate is open."""

    def __init__(self) -> None:
        self.opened, self.steps, self.running = threading.Event(), 0, 0

    def __call__(self, model: object, observer: Observer) -> str:
        with Run(observer).stage("solve", total=0) as stage:
            while not self.opened.wait(0.005):
                self.steps += 1
                stage(self.steps, residual=1 / self.steps)
        return "outcome"


@pytest.fixture
def gates() -> Iterator[list[Gate]]:
    made: list[Gate] = []
    yield made
    for gate in made:
        gate.opened.set()


def gate(gates: list[Gate]) -> Gate:
    gates.append(Gate())
    return gates[-1]


def board(loaded: list[str] | None = None) -> JobBoard:
    def load(name: str, observer: Observer) -> Any:
        if name == "bad":
            raise ValueError("no model 'bad'")
        if loaded is not None:
            loaded.append(name)
        return MODEL

    return JobBoard(load)


def test_a_job_runs_and_keeps_its_outcome(gates: list[Gate]) -> None:
    work, jobs = gate(gates), board()
    job = jobs.start("key", "m", Job(work))
    until(lambda: job.look().figures)
    assert job.look().state is State.RUNNING
    assert job.look().stages["solve"].event.done >= 0
    work.opened.set()
    until(lambda: job.look().over)
    assert (job.look().state, job.look().outcome) == (State.DONE, "outcome")


def test_stop_ends_a_job_at_its_next_step(gates: list[Gate]) -> None:
    work, jobs = gate(gates), board()
    job = jobs.start("key", "m", Job(work))
    until(lambda: work.steps > 3)
    job.stop()
    until(lambda: job.look().over)
    assert job.look().state is State.STOPPED
    steps = work.steps
    time.sleep(0.1)
    assert work.steps == steps
    again = jobs.start("key", "m", Job(lambda model, observer: "second"))
    until(lambda: again.look().over)
    assert again.look().outcome == "second"


def test_one_job_at_a_time_for_a_model_and_the_model_is_loaded_once(gates: list[Gate]) -> None:
    loaded: list[str] = []
    jobs, first, second = board(loaded), gate(gates), gate(gates)
    a = jobs.start("a", "m", Job(first))
    b = jobs.start("b", "m", Job(second))
    until(lambda: first.steps > 3)
    assert (b.look().state, jobs.ahead("b"), second.steps) == (State.WAITING, 1, 0)
    other = jobs.start("c", "another", Job(lambda model, observer: None))
    until(lambda: other.look().over)  # another model does not wait
    first.opened.set()
    until(lambda: second.steps > 3)
    assert a.look().state is State.DONE
    second.opened.set()
    until(lambda: b.look().over)
    assert sorted(loaded) == ["another", "m"]


def test_a_waiting_job_is_stopped_at_once(gates: list[Gate]) -> None:
    jobs, first, second = board(), gate(gates), gate(gates)
    jobs.start("a", "m", Job(first))
    b = jobs.start("b", "m", Job(second))
    b.stop()
    assert b.look().state is State.STOPPED
    first.opened.set()
    until(lambda: jobs.queue("m").idle)
    assert second.steps == 0


def test_a_full_queue_refuses_in_words(gates: list[Gate]) -> None:
    jobs = board()
    for number in range(1 + MOST_WAITING):
        jobs.start(str(number), "m", Job(gate(gates)))
    with pytest.raises(BusyError, match="The queue is full: 8 jobs wait already"):
        jobs.start("late", "m", Job(gate(gates)))
    jobs.close()
    until(lambda: jobs.queue("m").idle)


def test_a_page_has_one_job_at_a_time(gates: list[Gate]) -> None:
    jobs = board()
    jobs.start("key", "m", Job(gate(gates)))
    with pytest.raises(BusyError, match="still running"):
        jobs.start("key", "m", Job(gate(gates)))


def test_a_model_that_cannot_be_loaded_is_one_sentence() -> None:
    job = board().start("key", "bad", Job(lambda model, observer: None))
    until(lambda: job.look().over)
    assert (job.look().state, job.look().error) == (State.FAILED, "No model 'bad'.")


def test_few_models_are_kept() -> None:
    loaded: list[str] = []
    jobs = board(loaded)
    for name in ("a", "b", "c", "c", "a"):
        job = jobs.start("key", name, Job(lambda model, observer: None))
        until(lambda job=job: job.look().over)
        until(lambda name=name: jobs.queue(name).idle)
    assert loaded == ["a", "b", "c", "a"]


def test_old_jobs_are_forgotten() -> None:
    jobs = JobBoard(lambda name, observer: MODEL)
    first = jobs.start("key", "m", Job(lambda model, observer: None))
    until(lambda: first.look().over)
    second = jobs.start("key", "m", Job(lambda model, observer: None))
    assert jobs.find("key") is second
    assert jobs.find("another page") is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("images 1 and 2 are\nidentical"), "Images 1 and 2 are identical."),
        (FileNotFoundError("no such file."), "No such file."),
        (MemoryError(), "The memory of this machine is full"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory of this"),
        (MemoryError("one latent does not fit; take a smaller size"), "one latent does not fit"),
    ],
)
def test_failures_are_one_sentence(error: Exception, words: str) -> None:
    found = explain(error)
    assert words in found
    assert "\n" not in found


def test_a_defect_is_said_and_its_traceback_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert "This is a defect of the program (KeyError: 'x')" in explain(KeyError("x"))
    assert "KeyError" in capsys.readouterr().err


def test_events_after_a_stop_raise() -> None:
    job = Job(lambda model, observer: observer(Event("solve", 1, 2)))
    job.stop()
    with pytest.raises(StoppedError):
        job.observe(Event("solve", 1, 2))
