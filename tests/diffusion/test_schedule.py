"""Noise schedules: grids, inverses and what they refuse."""

import math
from typing import Any

import numpy as np
import pytest

from diffusion_geodesics.diffusion import (
    EDMPrediction,
    EDMSchedule,
    FlowSchedule,
    NoiseSchedule,
    SigmaSpacing,
)
from tests.conformance.denoiser import scaled_linear

SCHEDULES: tuple[NoiseSchedule, ...] = (
    scaled_linear(),
    FlowSchedule(),
    FlowSchedule(shift=3.0, lowest=0.003),
    FlowSchedule(shift=0.5, terminal=0.1),
    EDMSchedule(),
    EDMSchedule(spacing=SigmaSpacing.EXPONENTIAL, sigma_min=0.02, final_sigma=0.02),
)
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)


@every_schedule
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_a_grid_falls_from_noise_to_clean(schedule: NoiseSchedule, steps: int) -> None:
    grid = schedule.timesteps(steps)
    pairs = [*map(schedule.coefficients, grid), schedule.clean]
    ratios = [s / a if a else math.inf for a, s in pairs]
    assert len(grid) == steps
    assert ratios[:-1] == sorted(set(ratios[:-1]), reverse=True)
    assert ratios[-1] <= ratios[-2]
    assert all(a >= 0 and s >= 0 for a, s in pairs)


@every_schedule
def test_time_steps_and_ratios_are_inverse_and_continuous(schedule: NoiseSchedule) -> None:
    for ratio in np.geomspace(0.05, 12.0, 7):
        a, s = schedule.coefficients(schedule.timestep_at(float(ratio)))
        assert s / a == pytest.approx(ratio, rel=1e-10)
        near = schedule.coefficients(schedule.timestep_at(float(ratio * (1 + 1e-7))))
        assert near == pytest.approx((a, s), rel=1e-6)


def test_the_two_ends_of_a_flow_are_pure_noise_and_clean() -> None:
    schedule = FlowSchedule()
    assert schedule.coefficients(1000) == (0.0, 1.0)
    assert schedule.coefficients(0) == schedule.clean == (1.0, 0.0)
    assert schedule.timestep_at(math.inf) == 1000
    assert schedule.timestep(10, 1.0) == 1000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FlowSchedule(shift=0.0), "shift of 0.0"),
        (lambda: FlowSchedule(lowest=1.5), "lowest sigma"),
        (lambda: FlowSchedule(terminal=-0.1), "terminal sigma"),
        (lambda: FlowSchedule(train_steps=0), "training time steps"),
        (lambda: FlowSchedule().coefficients(1001), "0 to 1000"),
        (lambda: FlowSchedule().coefficients(math.nan), "0 to 1000"),
        (lambda: FlowSchedule().timestep_at(0.0), "above 0"),
        (lambda: FlowSchedule().timesteps(0), "1 or more"),
        (lambda: EDMSchedule(sigma_min=2.0, sigma_max=1.0), "sigma_min < sigma_max"),
        (lambda: EDMSchedule(rho=0.0), "rho"),
        (lambda: EDMSchedule(final_sigma=1.0), "final sigma"),
        (lambda: EDMSchedule().coefficients(81.0), "0.002 to 80"),
        (lambda: EDMSchedule().timestep_at(0.001), "0.002 to 80"),
        (lambda: EDMSchedule().timesteps(0), "1 or more"),
        (lambda: EDMPrediction(sigma_data=0.0), "sigma_data"),
    ],
)
def test_schedules_refuse_what_they_do_not_have(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
