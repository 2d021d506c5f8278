"""Stages of a run: progress, and cost as it is counted at the networks."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.runtime.cost import Cost, CostBreakdown, Counts, Meter, Operations
from diffusion_geodesics.runtime.run import Event, Run

COSTS = st.builds(
    Cost, st.integers(0, 10**6), st.integers(0, 10**4), st.floats(0, 1e4), st.floats(0, 1e4)
)


def test_a_stage_costs_what_was_counted_while_it_ran() -> None:
    run = Run()
    run.operations = Operations(evaluation=1e12, encoding=2e12, decoding=3e12)
    run.meter.add(Counts(nfe=100))
    with run.stage("solve"):
        run.meter.add(Counts(nfe=4, batches=2, backward=1))
        run.meter.add(Counts(encoded=1, decoded=2))
    run.meter.add(Counts(nfe=100))
    found = run.costs["solve"]
    assert (found.nfe, found.batches) == (4, 2)
    assert found.tflop == 4 + 2 * 1 + 1 * 2 + 2 * 3
    assert found.seconds > 0
    assert run.costs["other"] == Cost()
    assert run.costs.total == found


def test_a_stage_that_runs_again_adds_up() -> None:
    run = Run()
    for count in (1, 2):
        with run.stage("a"):
            run.meter.add(Counts(nfe=count, batches=1))
        with run.stage("b"):
            run.meter.add(Counts(nfe=10 * count, batches=1))
    assert [name for name, _ in run.costs.stages] == ["a", "b"]
    assert (run.costs["a"].nfe, run.costs["b"].nfe) == (3, 30)
    assert run.costs.total.nfe == 33


def test_what_is_used_again_is_charged_again() -> None:
    run = Run()
    run.charge("match", Cost(24, 3, 1.0, 0.5))
    run.charge("match", Cost(24, 3, 1.0, 0.5))
    assert run.costs["match"] == Cost(48, 6, 2.0, 1.0)


def test_events() -> None:
    seen: list[Event] = []
    run = Run(seen.append)
    with run.stage("solve", total=0) as stage:
        stage(1, residual=0.5)
        stage(2, 4, "detail", residual=0.1)
    run.report("pairs", 1, 2, "name")
    assert [(e.stage, e.done, e.total) for e in seen] == [
        ("solve", 0, 0),
        ("solve", 1, 0),
        ("solve", 2, 4),
        ("solve", 4, 4),
        ("pairs", 1, 2),
    ]
    assert [dict(e.figures) for e in seen[1:3]] == [{"residual": 0.5}, {"residual": 0.1}]
    assert (seen[2].detail, seen[4].detail) == ("detail", "name")


def test_an_observer_that_raises_ends_the_run_where_it_is() -> None:
    def cancel(event: Event) -> None:
        if event.done == 2:
            raise KeyboardInterrupt

    reached: list[int] = []

    def work() -> None:
        with Run(cancel).stage("solve", total=9) as stage:
            for k in range(9):
                stage(k)
                reached.append(k)

    with pytest.raises(KeyboardInterrupt):
        work()
    assert reached == [0, 1]


def test_threads_may_count_at_once() -> None:
    meter = Meter()

    def count() -> None:
        for _ in range(1000):
            meter.add(Counts(nfe=1, batches=1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.read() == Counts(nfe=4000, batches=4000)


@given(COSTS, COSTS)
def test_costs_add_and_subtract(a: Cost, b: Cost) -> None:
    assert a + b == b + a
    found = (a + b) - b
    assert (found.nfe, found.batches) == (a.nfe, a.batches)
    assert found.seconds == pytest.approx(a.seconds, abs=1e-9)
    assert a.scaled(3).nfe == 3 * a.nfe
    assert a.scaled(3).batches == a.batches


@given(st.lists(st.tuples(st.sampled_from("abc"), COSTS), max_size=8))
def test_a_breakdown_loses_nothing(entries: list[tuple[str, Cost]]) -> None:
    found = CostBreakdown()
    for name, cost in entries:
        found = found.add(name, cost)
    assert found.total.nfe == sum(c.nfe for _, c in entries)
    told = found.as_dict()
    assert set(told) == {"nfe", "batches", "seconds", "tflop", "stages"}
    stages = told["stages"]
    assert isinstance(stages, dict)
    assert list(stages) == list(dict.fromkeys(name for name, _ in entries))
