"""The one door: every kind of input, special cases, and failures with a reason."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.bvp import BoundaryProblem, GeodesicError, Result, solve_bvp
from diffusion_geodesics.density import Gaussian, GaussianMixture, HalfPlane, VonMisesFisher
from diffusion_geodesics.distances import distance_matrix, frechet_mean
from diffusion_geodesics.expmap import log
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.manifold import Flat, Manifold, Sphere
from diffusion_geodesics.metric import Conformal
from diffusion_geodesics.models import load_model
from diffusion_geodesics.path import Line
from tests.exact import Counting, GaussianEach, MovingGaussian, Wall, vector
from tests.problems import reference
from tests.tiny_pipelines import tiny_pipeline

GAUSSIAN = Gaussian([0.0, 0.0])
START, END = vector(1.5, 0), vector(0.2, 1.2)


def _grid(count: int) -> Tensor:
    return torch.linspace(0, 1, count, dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("manifold", [Flat(), Sphere(1.0)], ids=["flat", "sphere"])
@pytest.mark.parametrize("starts", [1, 3])
def test_identical_ends(dtype: torch.dtype, manifold: Manifold, starts: int):
    x = vector(0.6, 0.8).to(dtype)
    solution = geodesic(GAUSSIAN, x, x, manifold=manifold, starts=starts)
    assert solution.converged
    rounding = 20 * torch.finfo(dtype).eps * manifold.curvature
    for value in (solution.length, solution.distance, solution.distance_error):
        assert 0 <= float(value) <= rounding
    assert_close(solution.path(_grid(5)), x.expand(5, 2))
    assert float(solution.log_density.abs().max()) < 1e-6
    at = solution.profile.at_arc_length(_grid(5))
    assert bool(((at >= 0) & (at <= 1)).all())


def test_nearly_identical_ends():
    solution = geodesic(GAUSSIAN, START, START + 1e-9)
    assert solution.converged
    assert float(solution.length) == pytest.approx(math.sqrt(2) * 1e-9, rel=1e-6)


def test_opposite_ends_on_a_sphere():
    pole = vector(0, 0, 1)
    solution = geodesic(VonMisesFisher([0.0, 0, 1], 0.3), pole, -pole, manifold=Sphere(1.0))
    assert solution.result.ok
    assert_close(solution.path(_grid(9)).norm(dim=-1), torch.ones(9).double())
    angle = torch.linspace(0, math.pi, 2001, dtype=torch.float64)  # every meridian is as long
    exact = float(torch.trapezoid((0.3 * (1 - angle.cos())).exp(), angle))
    assert float(solution.length) == pytest.approx(exact, rel=1e-5)


def test_one_dimension_has_one_way():
    """∫ exp(x²/2) dx from 0 to 1, relative to the density at 0."""
    solution = geodesic(Gaussian([0.0]), [0.0], [1.0])
    assert solution.converged
    assert float(solution.length) == pytest.approx(1.1949576619, rel=1e-8)


def test_float32():
    single = geodesic(GAUSSIAN, START.float(), END.float())
    double = geodesic(GAUSSIAN, START, END)
    assert single.converged
    assert single.path(_grid(3)).dtype == single.length.dtype == torch.float32
    assert float(single.length) == pytest.approx(float(double.length), rel=1e-5)


@pytest.mark.parametrize(
    ("x0", "x1"),
    [
        ([1.5, 0.0], [0.2, 1.2]),
        (np.array([1.5, 0.0]), np.array([0.2, 1.2], dtype=np.float32)),
        (torch.tensor([1.5, 0.0]).half(), torch.tensor([0.2, 1.2]).half()),
        (torch.tensor([1.5, 0.0]), vector(0.2, 1.2)),
    ],
    ids=["lists", "numpy", "half", "mixed"],
)
def test_ends_of_every_kind(x0, x1):
    solution = geodesic(GAUSSIAN, x0, x1)
    assert solution.path(_grid(2)).dtype == torch.float64
    exact = float(geodesic(GAUSSIAN, START, END).length)
    assert float(solution.length) == pytest.approx(exact, rel=2e-3)


def test_integers_are_points():
    solution = geodesic(GAUSSIAN, [1, 0], [0, 1])
    assert_close(solution.path(_grid(2)), torch.eye(2, dtype=torch.float64))


def test_a_plain_function_is_a_score():
    exact = geodesic(GAUSSIAN, START, END)
    seen = []

    def function(x: Tensor) -> Tensor:
        seen.append(len(x))
        return -x

    solution = geodesic(function, START, END)
    assert solution.converged
    assert_close(solution.length, exact.length, rtol=1e-6, atol=0)
    assert_close(solution.distance, exact.distance, rtol=1e-6, atol=0)
    assert (sum(seen), len(seen)) == (solution.nfe, solution.batches)


def test_costs_are_counted_over_starts_and_batches():
    score = Counting(reference.ring().density)
    start, end = vector(2, 0).expand(2, 2), torch.stack([vector(-2, 0), vector(0, 2)])
    solution = geodesic(score, start, end, starts=3)
    assert (solution.nfe, solution.batches) == (score.nfe, score.batches)


def test_batches_of_any_shape():
    generator = torch.Generator().manual_seed(0)
    x = 0.5 * torch.randn(2, 2, 3, 4, generator=generator, dtype=torch.float64)
    density = Gaussian([0.0] * 4, 1.2)
    solution = geodesic(density, x[0], x[1])
    assert solution.length.shape == solution.distance.shape == solution.residual.shape == (2, 3)
    assert solution.path(_grid(5)).shape == (5, 2, 3, 4)
    assert solution.log_density.shape == (len(solution.t), 2, 3)
    one = geodesic(density, x[0, 1, 2], x[1, 1, 2])
    assert_close(solution.length[1, 2], one.length, rtol=1e-7, atol=0)


def test_log_density_and_both_lengths():
    solution = geodesic(GAUSSIAN, START, END)
    exact = GAUSSIAN.log_prob(solution.t, solution.path(solution.t))
    assert_close(solution.log_density, exact - exact[0], rtol=1e-6, atol=1e-6)
    change = float(exact[-1] - exact[0])
    assert float(solution.length) == pytest.approx(
        float(solution.distance) * math.exp(-change / 2), rel=1e-7
    )


def test_a_density_that_moves_along_the_curve():
    """Run backwards with the movement reversed it is the same curve; and not that at rest."""
    start, end, a, b = vector(0, 0), vector(1, 1.5), vector(-1, 1), vector(1.5, 0)
    there = geodesic(MovingGaussian(start, end), a, b, starts=1)
    back = geodesic(MovingGaussian(end, start), b, a, starts=1)
    rest = geodesic(Gaussian(start), a, b, starts=1)
    assert there.converged
    assert_close(there.path(_grid(9)), back.path(1 - _grid(9)), rtol=0, atol=1e-7)
    assert float((there.path(_grid(9)) - rest.path(_grid(9))).abs().max()) > 0.05
    still = geodesic(MovingGaussian(start, start), a, b, starts=1)
    assert_close(still.path(_grid(9)), rest.path(_grid(9)))


def test_each_pair_has_its_own_score():
    means = torch.stack([vector(0, 0), vector(0.5, 0.5), vector(1, -0.5)])
    batch = geodesic(GaussianEach(means), START.expand(3, 2), END.expand(3, 2), starts=2)
    for i in range(3):
        one = geodesic(Gaussian(means[i]), START, END)
        assert float(batch.length[i]) == pytest.approx(float(one.length), rel=1e-5)


def test_an_end_outside_the_support():
    solution = geodesic(HalfPlane(), vector(0, 1), vector(1, -1))
    assert solution.result is Result.non_finite
    assert not solution.result.ok
    with pytest.raises(GeodesicError, match="not finite") as error:
        geodesic(HalfPlane(), vector(0, 1), vector(1, -1), throw=True)
    assert error.value.solution.result is Result.non_finite


def test_a_score_that_is_not_finite_on_the_way():
    solution = geodesic(Wall(1.0), vector(0, 0), vector(2, 1))
    assert solution.result is Result.non_finite


@pytest.mark.parametrize("bad", [lambda x: x.sum(-1), lambda x: x.T, lambda x: 0.0])
def test_a_score_of_the_wrong_shape(bad):
    with pytest.raises(ValueError, match="the score function returned"):
        geodesic(bad, vector(0, 0), vector(2, 1))


def test_a_barrier_that_is_too_strong_is_said_to_be():
    """A thousand nats: p^-α does not fit a double."""
    density = GaussianMixture([[-6.0, 0, 0], [6, 0, 0], [0, 5, 1]], 0.1)
    solution = geodesic(density, [-6.0, 0, 1], [6.0, 1, 0])
    assert solution.result is Result.non_finite
    assert "smaller alpha" in solution.result.message
    with pytest.raises(GeodesicError, match="smaller alpha"):
        geodesic(density, [-6.0, 0, 1], [6.0, 1, 0], throw=True)
    strong = geodesic(density, [-6.0, 0, 1], [6.0, 1, 0], alpha=0.01)
    assert strong.result is Result.unresolved
    assert strong.distance_error > 0.05 * strong.length
    assert geodesic(density, [-6.0, 0, 1], [6.0, 1, 0], alpha=0.0003).converged


@pytest.mark.parametrize(
    ("x0", "x1", "match"),
    [
        ([0.0, math.nan], [1.0, 1.0], "x0 holds a value that is not finite"),
        ([0.0, 1.0], [math.inf, 1.0], "x1 holds a value that is not finite"),
        ([0.0, 1.0], [0.0, 1.0, 2.0], r"x0 has shape \(2,\) and x1 \(3,\)"),
        (1.0, 2.0, r"expected \(dim,\)"),
        (torch.zeros(0), torch.zeros(0), r"expected \(dim,\)"),
    ],
)
def test_bad_ends(x0, x1, match: str):
    with pytest.raises(ValueError, match=match):
        geodesic(GAUSSIAN, x0, x1)


def test_bad_settings():
    with pytest.raises(ValueError, match="alpha is -1"):
        geodesic(GAUSSIAN, START, END, alpha=-1.0)
    with pytest.raises(ValueError, match="starts is 0"):
        geodesic(GAUSSIAN, START, END, starts=0)
    with pytest.raises(ValueError, match="0 < tol ≤ 1"):
        geodesic(GAUSSIAN, START, END, tol=0.0)


def test_a_dimension_that_does_not_fit_the_density():
    for density in (GAUSSIAN, GaussianMixture([[0.0, 0.0]]), VonMisesFisher([1.0, 0.0], 1.0)):
        with pytest.raises(ValueError, match="points of 3 coordinates .* in 2 dimensions"):
            geodesic(density, vector(0, 0, 1), vector(1, 1, 1))
    with pytest.raises(ValueError, match="points of 3 coordinates .* in 1 dimensions"):
        geodesic(Gaussian([0.0]), vector(0, 0, 1), vector(1, 1, 1))  # would broadcast


@pytest.mark.parametrize("tol", [0.0, -1e-3, math.nan, math.inf, 1.5])
def test_a_tolerance_that_asks_for_nothing(tol: float):
    with pytest.raises(ValueError, match="0 < tol ≤ 1"):
        geodesic(GAUSSIAN, START, END, tol=tol)


def test_a_sphere_in_one_dimension_is_two_points():
    with pytest.raises(ValueError, match="at least 2 coordinates"):
        geodesic(lambda x: 0 * x, [1.0], [-1.0], manifold=Sphere(1.0))


def test_the_centre_of_a_sphere_is_no_point_of_it():
    with pytest.raises(ValueError, match="x1 holds a point that cannot be projected"):
        geodesic(GAUSSIAN, START, vector(0, 0), manifold=Sphere(1.0))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ("stable-diffusion", "got 'stable-diffusion' as a score; expected a Score"),
        (Gaussian, "got <class .*Gaussian'> as a score"),
        (3.0, "got a float as a score"),
        (load_model(), r"EmbeddedModel as a score; .* dg.interpolate\(model, images\)"),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_what_is_no_score(given: Any, match: str):
    with pytest.raises(ValueError, match=match):
        geodesic(given, START, END)


@pytest.mark.usefixtures("unchecked_types")
def test_a_pipeline_is_no_score(tmp_path: Path):
    with pytest.raises(ValueError, match="StableDiffusionPipeline as a score; .*from_pipeline"):
        geodesic(cast(Any, tiny_pipeline(tmp_path)), START, END)


@pytest.mark.parametrize("given", ["ab", [["a", "b"]], [[1.0, 2.0], [3.0]], None, [True, False]])
@pytest.mark.usefixtures("unchecked_types")
def test_ends_that_are_no_numbers(given: Any):
    with pytest.raises(ValueError, match="x0 is a .* no array of real numbers"):
        geodesic(GAUSSIAN, given, END)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"manifold": "sphere"}, "got 'sphere' as the manifold; expected an object"),
        ({"manifold": Sphere}, "as the manifold; expected an object"),
        ({"solver": "flow"}, "got 'flow' as the solver; expected an object"),
        ({"alpha": "strong"}, "alpha is 'strong'; expected a number"),
    ],
)
@pytest.mark.usefixtures("unchecked_types")
def test_strings_and_classes_for_objects(options: dict[str, Any], match: str):
    for solve in (
        lambda: geodesic(GAUSSIAN, START, END, **options),
        lambda: distance_matrix(GAUSSIAN, [[0.0, 1.0], [1.0, 0.0]], **options),
        lambda: frechet_mean(GAUSSIAN, [[0.0, 1.0], [1.0, 0.0]], **options),
    ):
        with pytest.raises(TypeError, match=match):
            solve()


def test_throw_has_one_default():
    defaults = {
        inspect.signature(f).parameters["throw"].default for f in (geodesic, solve_bvp, log)
    }
    assert defaults == {False}


@pytest.mark.usefixtures("unchecked_types")
def test_a_plain_function_makes_a_connection():
    problem = BoundaryProblem(Conformal(lambda x: -x, 0.5), Line(START, END))
    alone = geodesic(lambda x: -x, START, END, alpha=0.5, starts=1)
    assert_close(solve_bvp(problem).length, alone.length, rtol=1e-3, atol=0)
    with pytest.raises(TypeError, match=r"wrap .* BoundaryProblem\(Conformal\(score, alpha\)"):
        solve_bvp(Conformal(lambda x: -x, 0.5))  # type: ignore[arg-type]
