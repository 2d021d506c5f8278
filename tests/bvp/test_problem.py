"""Boundary value problems: what is accepted, and what is refused with a reason."""

import pytest
import torch
from jaxtyping import TypeCheckError
from torch.testing import assert_close

from diffusion_geodesics.bvp import BoundaryProblem, EnergyMinimiser, PreconditionedFlow, solve_bvp
from diffusion_geodesics.density import Gaussian
from diffusion_geodesics.metric import Conformal, ConformalMetric, MetricEnergy
from diffusion_geodesics.path import Line, Spline
from tests.exact import vector

CONNECTION = Conformal(Gaussian([0.0, 0]))
ENERGY = MetricEnergy(ConformalMetric(Gaussian([0.0, 0])))
LINE = Line(vector(0, 0), vector(1, 1))


def test_one_path_or_several():
    assert BoundaryProblem(CONNECTION, LINE).starts == (LINE,)
    both = BoundaryProblem(CONNECTION, [LINE, LINE])
    assert both.starts == (LINE, LINE)
    assert both.nodes(4).shape == (5, 2, 2)


def test_all_initial_paths_have_the_ends_of_the_first():
    near = Spline(torch.stack([vector(1e-7, 0), vector(0.3, 0.8), vector(1, 1)]))
    nodes = BoundaryProblem(CONNECTION, [LINE, near]).nodes(8)
    assert_close(nodes[0], vector(0, 0).expand(2, 2), rtol=0, atol=0)
    assert_close(nodes[-1], vector(1, 1).expand(2, 2), rtol=0, atol=0)
    assert float((nodes[4, 0] - nodes[4, 1]).norm()) > 0.1


def test_starts_must_share_their_ends():
    with pytest.raises(ValueError, match="same end points"):
        BoundaryProblem(CONNECTION, [LINE, Line(vector(0, 0), vector(1, 1.1))])
    with pytest.raises(ValueError, match="same points"):
        BoundaryProblem(CONNECTION, [LINE, Line(vector(0, 0, 0), vector(1, 1, 1))])


def test_no_start_at_all():
    with pytest.raises(ValueError, match="no initial path"):
        BoundaryProblem(CONNECTION, [])


@pytest.mark.parametrize(
    ("geometry", "paths"), [("conformal", LINE), (CONNECTION, "line"), (CONNECTION, [LINE, "line"])]
)
def test_something_else_is_refused(geometry, paths):
    with pytest.raises((TypeError, TypeCheckError)):
        BoundaryProblem(geometry, paths)


def test_a_solver_that_does_not_fit_says_which_one_does():
    with pytest.raises(ValueError, match=r"use EnergyMinimiser\(\)"):
        solve_bvp(BoundaryProblem(ENERGY, LINE), PreconditionedFlow())
    with pytest.raises(ValueError, match="use MetricEnergy"):
        solve_bvp(BoundaryProblem(CONNECTION, LINE), EnergyMinimiser())
