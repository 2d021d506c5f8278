"""How a job stands, in words and bars."""

from __future__ import annotations

import pytest

from diffusion_geodesics.runtime.run import Event
from diffusion_geodesics.web.job import Snapshot, StageTime, State
from diffusion_geodesics.web.progress import curve, duration, progress_html, seconds_left


def running(**stages: tuple[int, int, float]) -> Snapshot:
    times = {n: StageTime(Event(n, done, total), s) for n, (done, total, s) in stages.items()}
    return Snapshot(State.RUNNING, times, sum(s for *_, s in stages.values()))


def test_the_rest_is_taken_to_go_as_fast() -> None:
    weights = {"invert": 10.0, "solve": 20.0, "decode": 30.0}
    seen = running(invert=(5, 5, 4.0), solve=(1, 2, 4.0))
    assert seconds_left(seen.stages, weights) == pytest.approx(40 * 8 / 20)
    assert seconds_left({}, weights) is None
    assert seconds_left(seen.stages, {}) is None


def test_loading_says_nothing_about_the_rest() -> None:
    stages = running(load=(1, 1, 60.0), invert=(1, 2, 3.0)).stages
    assert seconds_left(stages, {"invert": 10.0}) == pytest.approx(3.0)


def test_every_stage_has_a_bar_with_a_name() -> None:
    html = progress_html("morph", running(invert=(5, 5, 4.0), solve=(1, 0, 3.0)), {"decode": 1.0})
    for title in ("Inverting", "Solving for the path", "Decoding the film"):
        assert f">{title}</label>" in html
    assert html.count("<progress") == 3
    assert 'value="1.000"' in html
    assert html.count("value=") == 2  # of the solver nobody knows how far it is


def test_states_are_told() -> None:
    waiting = Snapshot(State.WAITING, {}, 0)
    assert "2 jobs of this model before yours" in progress_html("p", waiting, {}, 2)
    failed = Snapshot(State.FAILED, {}, 3, "Picture <b> is bad.")
    html = progress_html("p", failed, {})
    assert 'role="alert"' in html
    assert "Picture &lt;b&gt; is bad." in html
    assert "Done in 2 min 5 s." in progress_html("p", Snapshot(State.DONE, {}, 125), {})


def test_live_figures_are_shown() -> None:
    figures = ({"residual": 1.0, "length": 3.0}, {"residual": 0.01, "length": 2.5})
    seen = Snapshot(State.RUNNING, {}, 1, figures=figures)
    html = progress_html("p", seen, {})
    assert "residual 0.01, length 2.5" in html
    assert "<polyline" in html


def test_a_curve_falls_from_the_first_to_the_last() -> None:
    first, middle, last = (float(p.split(",")[1]) for p in curve([1.0, 0.1, 0.01]).split())
    assert first < middle < last
    assert middle == pytest.approx((first + last) / 2, abs=0.1)
    assert curve([1.0]) == ""


def test_durations() -> None:
    assert [duration(x) for x in (0.4, 59.6, 150)] == ["0 s", "60 s", "2 min 30 s"]
