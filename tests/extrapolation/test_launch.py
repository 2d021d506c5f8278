"""Where rays begin: velocities at the ends of paths, and directions that are none."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from diffusion_geodesics.extrapolation.launch import (
    Launch,
    coordinates_of,
    edge_velocity,
    piece_of,
)
from diffusion_geodesics.latents.coordinates import Ambient, Shell, shell
from diffusion_geodesics.manifold import Flat, Sphere
from diffusion_geodesics.path import GreatArc, Line, Spline
from tests.extrapolation.geometries import two_points


@pytest.mark.parametrize("at_end", [False, True])
def test_the_velocity_of_a_line_and_of_an_arc_is_exact(at_end: bool) -> None:
    a, b = two_points()
    velocity, wrong = edge_velocity(Line(a, b), Flat(), 8, at_end=at_end)
    assert_close(velocity, b - a)
    assert wrong < 1e-9
    sphere = Sphere(2.0)
    start, end = sphere.project(a), sphere.project(b)
    arc = GreatArc(start, end)
    velocity, _ = edge_velocity(arc, sphere, 8, at_end=at_end)
    exact = arc(torch.tensor([float(at_end)], dtype=torch.float64), 1)[0]
    assert_close(velocity, exact, rtol=1e-9, atol=1e-9)


def test_the_velocity_of_a_bent_path_converges_at_fifth_order() -> None:
    """y = sin(2t) beside x = t: the velocity at the start is (1, 2)."""
    errors = []
    for intervals in (16, 32):
        t = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
        nodes = torch.stack([t, torch.sin(2 * t)], 1)
        velocity, wrong = edge_velocity(Spline(nodes), Flat(), intervals)
        error = float((velocity - torch.tensor([1.0, 2.0]).double()).norm())
        assert error < wrong * float(velocity.norm()), "the bar covers the error"
        errors.append(error)
    assert math.log2(errors[0] / errors[1]) > 4.5


def test_directions_that_go_nowhere_are_refused() -> None:
    a, _ = two_points()
    with pytest.raises(ValueError, match="direction is zero"):
        Launch(a, torch.zeros_like(a), Ambient(), "v")
    with pytest.raises(ValueError, match="not finite"):
        Launch(a, a / 0, Ambient(), "v")


def test_coordinates_are_the_shell_through_the_start_or_flat_space() -> None:
    a, b = two_points()
    assert coordinates_of(a, flat=True) == Ambient()
    found = coordinates_of(a, flat=False)
    assert isinstance(found, Shell)
    assert float(found.slope()) == 0
    assert piece_of(Ambient(), 0.5, 1.0) == Ambient()
    assert piece_of(shell(a, b), 1.0, 2.0).slope() == 0
    half = piece_of(shell(a, b), 0.0, 0.5)
    assert_close(half.slope(), 0.5 * shell(a, b).slope())
