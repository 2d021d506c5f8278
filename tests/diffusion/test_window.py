"""Windows of time steps: where a distilled score is evaluated."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.diffusion import FixedWindow, RandomWindow
from diffusion_geodesics.diffusion.window import carried, window_timestep
from tests.conformance.denoiser import scaled_linear

LEVEL = 581


def points(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def test_noisier_nodes_are_the_forward_process() -> None:
    schedule = scaled_linear()
    window = FixedWindow(LEVEL, (LEVEL, 700, 400))
    x = points(2, 5)
    same, up, down = window.nodes(x)
    assert_close(carried(schedule, x, LEVEL, same)[0], x)
    a0, s0 = schedule.coefficients(LEVEL)
    a, s = schedule.coefficients(700)
    moved, ratio, kappa = carried(schedule, x, LEVEL, up)
    assert ratio == pytest.approx(a / a0)
    assert (ratio * s0) ** 2 + kappa**2 == pytest.approx(s**2)
    assert_close(moved, ratio * x + kappa * up.noise)
    assert carried(schedule, x, LEVEL, down)[2] == 0.0


def test_windows_are_cut_off_at_the_ends_of_the_grid() -> None:
    schedule = scaled_linear()
    assert window_timestep(schedule, 50, 0.6) == schedule.timestep(50, 0.6)
    window = FixedWindow.around(schedule, 50, 0.95, 0.1, 3)
    assert window.timesteps[-1] == schedule.timesteps(50)[0]
    assert FixedWindow.around(schedule, 50, 0.6, 0.1, 1).timesteps == (581,)


def test_a_random_window_draws_time_steps_from_all_of_it() -> None:
    window = RandomWindow(LEVEL, 481, 681, torch.Generator().manual_seed(0))
    drawn = torch.tensor([window.nodes(points(1, 5))[0].timestep for _ in range(400)])
    assert 481 <= float(drawn.min()) < 485
    assert 677 < float(drawn.max()) <= 681
    assert float(drawn.mean()) == pytest.approx(581, abs=3 * 200 / 12**0.5 / 20)


def test_windows_refuse_what_is_none() -> None:
    schedule = scaled_linear()
    with pytest.raises(ValueError, match="no time steps"):
        FixedWindow(LEVEL, ())
    with pytest.raises(ValueError, match="at least one node"):
        FixedWindow.around(schedule, 50, 0.6, 0.1, 0)
    with pytest.raises(ValueError, match=r"width in \[0, 1\)"):
        FixedWindow.around(schedule, 50, 0.6, -0.1, 3)
