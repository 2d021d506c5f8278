"""What the plain data refuse, and that they say why."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from diffusion_geodesics.report import Convergence, Curve, Film
from tests.report.sample import sample_run

T = torch.linspace(0, 1, 4)


def test_a_film_refuses_colours_from_minus_one_to_one() -> None:
    with pytest.raises(ValueError, match=r"\[0, 1\], got -1 to 1.*\(x \+ 1\) / 2"):
        Film("path", torch.stack([-torch.ones(3, 2, 2), torch.ones(3, 2, 2)]), T[:2])


def test_a_film_refuses_values_that_are_not_finite() -> None:
    frames = torch.zeros(4, 3, 2, 2)
    frames[2, 1, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="finite"):
        Film("path", frames, T)


def test_a_film_forgives_rounding() -> None:
    Film("path", torch.full((4, 3, 2, 2), 1.0000001), T)


@pytest.mark.parametrize(
    ("frames", "t", "message"),
    [
        (torch.zeros(1, 3, 2, 2), torch.zeros(1), "got 1 frames"),
        (torch.zeros(4, 3, 2, 2), T[:3], "got 3 times for 4 frames"),
        (torch.zeros(4, 3, 2, 2), T.flip(0), "without turning back"),
        (torch.zeros(4, 3, 2, 2), 2 * T, "from 0 to 1"),
    ],
)
def test_a_film_refuses_what_is_no_path(
    frames: torch.Tensor, t: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Film("path", frames, t)


def test_a_curve_refuses_columns_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="slerp: norm has 3 values for 4 times"):
        Curve("slerp", T, log_density=T, norm=T[:3])


def test_convergence_refuses_columns_of_different_lengths() -> None:
    with pytest.raises(ValueError, match="nodes has 2 values for 4 residuals"):
        Convergence(residual=T, nodes=torch.tensor([16, 32]))


def test_convergence_refuses_to_be_empty() -> None:
    with pytest.raises(ValueError, match="no iteration"):
        Convergence(residual=torch.zeros(0))


def test_convergence_knows_whether_the_solver_refined() -> None:
    assert Convergence(residual=T, nodes=torch.tensor([16, 16, 32, 32])).refined
    assert not Convergence(residual=T, nodes=torch.tensor([16, 16, 16, 16])).refined
    assert not Convergence(residual=T).refined


def test_a_run_needs_a_film() -> None:
    with pytest.raises(ValueError, match="no film"):
        dataclasses.replace(sample_run(n=3, height=16, width=16), films=())
