"""Schedules on a table of betas: grids, ladders, and what they refuse."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diffusion_geodesics.diffusion import DiscreteSchedule, NoiseSchedule
from tests.conformance.denoiser import scaled_linear


def test_a_ladder_is_the_end_of_the_grid() -> None:
    schedule = scaled_linear()
    assert schedule.timesteps(50)[:2] == (981, 961)
    assert schedule.timesteps(50)[-1] == 1
    assert schedule.ladder(50, 0.3) == schedule.timesteps(50)[-15:]
    assert schedule.timestep(50, 1.0) == 981
    assert schedule.ladder(50, 1e-6) == (1,)


@given(st.floats(0, 999))
def test_signal_and_noise_preserve_the_variance_between_time_steps_too(timestep: float) -> None:
    a, s = scaled_linear().coefficients(timestep)
    assert a**2 + s**2 == pytest.approx(1.0, abs=1e-14)


@given(st.integers(0, 998), st.floats(0, 1))
def test_between_time_steps_the_log_ratio_is_linear(below: int, share: float) -> None:
    schedule = scaled_linear()
    low, high, here = (
        math.log(s / a) for a, s in map(schedule.coefficients, (below, below + 1, below + share))
    )
    assert here == pytest.approx(low + share * (high - low), rel=1e-9, abs=1e-9)


@given(st.integers(1, 999), st.floats(1e-6, 1))
def test_a_level_is_the_rounded_fraction_of_the_steps(steps: int, level: float) -> None:
    schedule = scaled_linear()
    ladder = schedule.ladder(steps, level)
    assert len(ladder) == max(1, round(level * steps))
    assert ladder == schedule.timesteps(steps)[-len(ladder) :]
    assert ladder[0] == schedule.timestep(steps, level)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.coefficients(1000), "0 to 999"),
        (lambda s: s.timesteps(0), "1 to 1000"),
        (lambda s: s.timesteps(1000), "fewer steps"),
        (lambda s: s.ladder(50, 0.0), r"\(0, 1\]"),
        (lambda s: s.ladder(50, math.nan), r"\(0, 1\]"),
        (lambda s: DiscreteSchedule(()), "empty schedule"),
        (lambda s: DiscreteSchedule((1.5,)), r"outside \[0, 1\]"),
    ],
)
def test_schedules_refuse_what_they_do_not_have(
    call: Callable[[NoiseSchedule], Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        call(scaled_linear())
