"""Distances and distance matrices on exact densities: error bars, references, resuming."""

import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import PreconditionedFlow
from diffusion_geodesics.density import GaussianMixture, HalfPlane
from diffusion_geodesics.distances import (
    Absolute,
    CommonMean,
    DistanceMatrix,
    EndsMean,
    distance_matrix,
)
from diffusion_geodesics.metric import LogLinear
from tests.exact import vector

HALF_PLANE = torch.stack([vector(0, 0.5), vector(1, 1), vector(-0.5, 2), vector(0.3, 0.8)])
FLOW = PreconditionedFlow((16,))


def hyperbolic(x: Tensor) -> Tensor:
    gap = (x[:, None] - x[None]).square().sum(-1)
    return torch.arccosh(1 + gap / (2 * x[:, None, 1] * x[None, :, 1]))


@pytest.fixture(scope="module")
def matrix():
    return distance_matrix(HalfPlane(), HALF_PLANE, batch=4)


def test_hyperbolic_distances_under_every_reference(matrix: DistanceMatrix):
    exact, level = hyperbolic(HALF_PLANE), HALF_PLANE[:, 1].log()
    assert all(r.ok for r in matrix.results)
    assert matrix.failed == ()
    assert_close(matrix.log_density, level - level.mean(), rtol=0, atol=1e-6)
    assert matrix.density_disagreement < 1e-6
    common = float(level.mean().exp())
    assert_close(matrix.values, exact * common, rtol=1e-5, atol=1e-12)
    absolute = matrix.under(Absolute(level))
    assert_close(absolute.values, exact, rtol=1e-5, atol=1e-12)
    ends = matrix.under(EndsMean())
    root = (0.5 * (level[:, None] + level[None])).exp()
    assert_close(ends.values, exact * root, rtol=1e-5, atol=1e-12)
    assert ends.log_density is None
    assert torch.equal(matrix.values, matrix.values.T)
    assert bool((matrix.errors <= 1e-3 * matrix.values + 1e-15).all())


def test_the_errors_cover_the_truth():
    mixture = GaussianMixture([[-1.0, 0.0], [1.0, 0.5]], 0.8)
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rough = distance_matrix(mixture, x, solver=FLOW)
    fine = distance_matrix(mixture, x, solver=PreconditionedFlow((16, 64)), tol=1e-5)
    gap = (rough.values - fine.values).abs()
    assert bool((gap <= 3 * (rough.errors + fine.errors) + 1e-3 * fine.values).all())


def test_triangle_inequality_with_a_common_reference():
    mixture = GaussianMixture([[-1.0, 0.0], [1.0, 0.5], [0.0, 1.5]], 0.6)
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = distance_matrix(mixture, x, starts=3)
    assert not found.failed
    values, slack = found.values, found.errors.max() + 1e-9
    detour = (values[:, :, None] + values[None]).amin(1)
    assert bool((values <= detour + 3 * slack).all())


def test_without_a_common_reference_the_triangle_inequality_may_fail():
    """Two improbable points and a probable one between: as seen from the ends, staying put in
    density is cheap, and the way through the middle is measured with another unit."""
    x = torch.stack([vector(0, 0.05), vector(0, 1), vector(0, 20)])
    found = distance_matrix(HalfPlane(), x, solver=PreconditionedFlow((16, 64)))
    common, ends = found.values, found.under(EndsMean()).values
    assert float(common[0, 2]) == pytest.approx(float(common[0, 1] + common[1, 2]), rel=1e-2)
    assert bool(ends[1, 2] > ends[1, 0] + ends[0, 2])


def test_order_of_the_points_does_not_matter(matrix: DistanceMatrix):
    turn = torch.tensor([2, 0, 3, 1])
    turned = distance_matrix(HalfPlane(), HALF_PLANE[turn])
    assert_close(turned.values, matrix.values[turn][:, turn], rtol=1e-5, atol=1e-12)


def test_a_score_that_is_no_gradient_is_found_out():
    turning = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    x = torch.stack([vector(1, 0), vector(0, 1), vector(-1, -0.5)])
    found = distance_matrix(lambda x: -x + 0.3 * x @ turning, x, solver=FLOW, alpha=0.3)
    assert found.density_disagreement > 0.05
    assert bool((found.errors[0, 1:] > 0.01 * found.values[0, 1:]).all())


def test_duplicates_have_distance_zero():
    x = torch.stack([vector(0, 1), vector(0, 1), vector(0.5, 1)])
    found = distance_matrix(HalfPlane(), x, solver=FLOW)
    assert float(found.values[0, 1]) == 0
    assert float(found.errors[0, 1]) == 0


def test_bad_input():
    with pytest.raises(ValueError, match="at least 2 points"):
        distance_matrix(HalfPlane(), HALF_PLANE[:1])
    with pytest.raises(ValueError, match="batch 0"):
        distance_matrix(HalfPlane(), HALF_PLANE, batch=0)
    with pytest.raises(ValueError, match="not finite"):
        Absolute(vector(1, math.nan))
    known = distance_matrix(HalfPlane(), HALF_PLANE[:2], solver=FLOW)
    with pytest.raises(ValueError, match="3 log densities for 2 points"):
        _ = known.under(Absolute(vector(0, 0, 0))).values
    assert_close(known.under(CommonMean()).values, known.values)


def test_lists_and_arrays(matrix: DistanceMatrix):
    for given in (HALF_PLANE.tolist(), HALF_PLANE.numpy()):
        found = distance_matrix(HalfPlane(), given, batch=4)
        assert_close(found.values, matrix.values, rtol=0, atol=0)


@pytest.mark.usefixtures("unchecked_types")
@pytest.mark.parametrize("given", [[1.0, 2.0], [[[1.0, 2.0]]], [[1.0], [2.0, 3.0]]])
def test_points_of_another_shape(given: list):
    with pytest.raises(ValueError, match="points "):
        distance_matrix(HalfPlane(), given)


@pytest.mark.usefixtures("unchecked_types")
def test_a_weight_that_is_no_power_has_no_common_reference():
    with pytest.raises(ValueError, match="no power of the density"):
        distance_matrix(HalfPlane(), HALF_PLANE, alpha=LogLinear(0.1))  # type: ignore[arg-type]
