"""Scores are gradients of log densities, densities are normalised, and mistakes are named."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.density import (
    Density,
    FunctionScore,
    Gaussian,
    GaussianMixture,
    HalfPlane,
    Score,
    VonMisesFisher,
    as_score,
    evaluate,
)
from diffusion_geodesics.expmap import exp
from diffusion_geodesics.geodesics import geodesic
from tests.conformance.score import DensitySuite, ScoreCase, ScoreSuite
from tests.exact import GaussianEach, MovingGaussian
from tests.problems.reference import Stereographic


def _points(dim: int, *, positive: bool = False, radius: float | None = None) -> Tensor:
    x = torch.randn(2, 3, dim, generator=torch.Generator().manual_seed(dim), dtype=torch.float64)
    if positive:
        x = torch.cat([x[..., :-1], x[..., -1:].abs() + 0.1], -1)
    return x if radius is None else x * (radius / x.norm(dim=-1, keepdim=True))


_MEANS = [[-2.0, 0, 1], [2, 0, 0], [0, 1.8, -1]]
DENSITIES = [
    ScoreCase("gaussian", Gaussian([1.0, -2.0, 0.5], 0.7), _points(3)),
    ScoreCase("gaussian, diagonal", Gaussian([1.0, -2.0], [0.5, 2.0]), _points(2)),
    ScoreCase("mixture", GaussianMixture(_MEANS, 0.8), _points(3)),
    ScoreCase(
        "mixture, unequal",
        GaussianMixture(_MEANS, [0.6, 0.9, 0.7], [0.3, 0.3, 0.4]),
        _points(3),
    ),
    ScoreCase("mixture, zero weight", GaussianMixture(_MEANS, 0.8, [1.0, 0, 1]), _points(3)),
    ScoreCase("half-plane", HalfPlane(), _points(2, positive=True)),
    ScoreCase("half-space", HalfPlane(), _points(5, positive=True)),
    ScoreCase("von Mises-Fisher", VonMisesFisher([1.0, 2, 2], 3.0, 2.0), _points(3, radius=2.0)),
    ScoreCase("stereographic", Stereographic(), _points(3)),
    ScoreCase("moving", MovingGaussian(torch.zeros(3), torch.tensor([1.0, -1.0, 3.0])), _points(3)),
]
SCORES = [
    ScoreCase("function", FunctionScore(lambda x: -x.pow(3)), _points(3)),
    ScoreCase("of each path", GaussianEach(_points(3)[0]), _points(3), differs_by_path=True),
]


def _on(case: ScoreCase, device: torch.device, dtype: torch.dtype) -> ScoreCase:
    points = case.points.to(device, dtype)
    return ScoreCase(case.name, case.score, points, case.differs_by_path)


class TestDensities(DensitySuite):
    @pytest.fixture(params=DENSITIES, ids=lambda c: c.name)
    def case(
        self, request: pytest.FixtureRequest, device: torch.device, dtype: torch.dtype
    ) -> ScoreCase:
        return _on(request.param, device, dtype)


class TestScores(ScoreSuite):
    @pytest.fixture(params=SCORES, ids=lambda c: c.name)
    def case(
        self, request: pytest.FixtureRequest, device: torch.device, dtype: torch.dtype
    ) -> ScoreCase:
        return _on(request.param, device, dtype)


def test_gaussian_is_torchs():
    x, mean, std = _points(3), torch.tensor([1.0, 0, -1]).double(), torch.tensor([0.5, 1, 2])
    expected = torch.distributions.Normal(mean, std.double()).log_prob(x).sum(-1)
    assert_close(Gaussian(mean, std).log_prob(torch.zeros(2, 3).double(), x), expected)


@pytest.mark.parametrize(
    "density",
    [
        Gaussian([0.3, -0.2], [0.5, 0.9]),
        GaussianMixture([[0.0, 1], [1, -1]], [0.5, 0.8], [3.0, 1.0]),
    ],
    ids=["gaussian", "mixture"],
)
def test_integrates_to_one(density: Density):
    axis = torch.linspace(-8, 8, 401, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    p = density.log_prob(torch.zeros(401, 401).double(), grid).exp()
    assert float(p.sum() * (axis[1] - axis[0]) ** 2) == pytest.approx(1, abs=1e-10)


def test_mixture_of_one_is_a_gaussian():
    one, many = Gaussian([1.0, 2, 3], 0.7), GaussianMixture([[1.0, 2, 3]], 0.7)
    t, x = torch.zeros(2, 3).double(), _points(3)
    assert_close(one(t, x), many(t, x))
    assert_close(one.log_prob(t, x), many.log_prob(t, x))
    assert one.precision == pytest.approx(many.precision) == pytest.approx(1 / 0.49)


def test_mixture_far_away_is_finite():
    density = GaussianMixture([[0.0, 0], [3, 0]], 0.1)
    x = torch.tensor([[1e4, -1e4]], dtype=torch.float64)
    t = torch.zeros(1, dtype=torch.float64)
    assert_close(density(t, x), (torch.tensor([[3.0, 0]]).double() - x) / 0.01)
    nearest = Gaussian([3.0, 0.0], 0.1).log_prob(t, x) - math.log(2)
    assert_close(density.log_prob(t, x), nearest, rtol=1e-9, atol=0)


def test_half_plane_is_nan_outside():
    x = torch.tensor([[1.0, -0.5], [1.0, 0.0]], dtype=torch.float64)
    t = torch.zeros(2, dtype=torch.float64)
    assert HalfPlane()(t, x)[:, -1].isnan().all()
    assert HalfPlane().log_prob(t, x).isnan().all()


def test_von_mises_fisher_peaks_at_its_direction():
    density = VonMisesFisher([3.0, 4.0], 2.5, radius=7.0)
    peak = torch.tensor([[4.2, 5.6], [-4.2, -5.6]], dtype=torch.float64)
    log_prob = density.log_prob(torch.zeros(2, dtype=torch.float64), peak)
    assert float(log_prob[0] - log_prob[1]) == pytest.approx(2 * 2.5)


def test_a_function_sees_rows():
    seen = []

    def function(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        return -x

    FunctionScore(function)(torch.zeros(2, 3).double(), _points(4))
    assert seen == [(6, 4)]


@pytest.mark.usefixtures("unchecked_types")
def test_as_score():
    density = HalfPlane()
    assert as_score(density) is density
    assert isinstance(as_score(torch.sin), FunctionScore)
    with pytest.raises(ValueError, match="got a int as a score; expected a Score"):
        as_score(3)  # type: ignore[arg-type]


T = torch.zeros((), dtype=torch.float64)


@dataclass(frozen=True)
class Writing(Score):
    """A score of a standard normal that writes into its points."""

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        return x.neg_()


def _writing(x: Tensor) -> Tensor:
    return x.mul_(-1)


@pytest.mark.parametrize("score", [Writing(), FunctionScore(_writing)], ids=["class", "function"])
def test_scores_that_write_in_place_do_not_move_the_points(score: Score):
    x = _points(4)
    before = x.clone()
    assert_close(evaluate(score, T, x), -before)
    assert_close(x, before, rtol=0, atol=0)
    there, exact = (geodesic(s, x[0], x[1]) for s in (score, lambda x: -x))
    assert_close(there.path.nodes, exact.path.nodes, rtol=0, atol=0)
    assert_close(there.log_density, exact.log_density, rtol=0, atol=0)
    far, ray = (exp(s, x[0], x[1]).end for s in (score, lambda x: -x))
    assert_close(far, ray, rtol=0, atol=0)


def test_no_graph_is_built_where_no_gradient_is_asked_for():
    layer = torch.nn.Linear(4, 4).double()
    modes: list[bool] = []

    def function(x: Tensor) -> Tensor:
        value = layer(x)
        modes.append(value.requires_grad)
        return value

    x = _points(4)
    solution = geodesic(function, x[0], x[1], alpha=0.1)
    assert modes
    assert not any(modes)
    assert not solution.path.nodes.requires_grad
    at = x.clone().requires_grad_()
    assert FunctionScore(function)(T, at).requires_grad


@dataclass(frozen=True)
class Layer(Score):
    layer: torch.nn.Module

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        return self.layer(x)


def test_scores_of_ones_own_leave_no_graph_behind():
    x = _points(4)
    solution = geodesic(Layer(torch.nn.Linear(4, 4).double()), x[0], x[1], alpha=0.1)
    assert not solution.path.nodes.requires_grad
    assert not solution.log_density.requires_grad


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_functions_that_take_gradients_inside(context):
    """The first call finds it out; there is one call for each evaluation from then on."""
    calls = 0

    def function(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        x.requires_grad_()
        return torch.autograd.grad(-0.5 * x.square().sum(), x)[0]

    score, x = FunctionScore(function), _points(4)
    with context():
        assert_close(score(T, x), -x)
        assert calls == 2
        assert_close(score(T, x), -x)
        assert calls == 3


def test_errors_of_the_function_are_its_own():
    def function(x: Tensor) -> Tensor:
        raise RuntimeError("of the network")

    with pytest.raises(RuntimeError, match="of the network"):
        FunctionScore(function)(T, _points(4))


@pytest.mark.parametrize(
    "density",
    [Gaussian([0.0, 1.0], 2.0), GaussianMixture([[0.0, 1.0]], 2.0), HalfPlane()],
    ids=lambda d: type(d).__name__,
)
def test_log_prob_without_a_curve_parameter(density: Density):
    x = torch.tensor([[0.5, 1.0], [2.0, 3.0]], dtype=torch.float64)
    expected = density.log_prob(torch.zeros(2, dtype=torch.float64), x)
    for given in (x, x.numpy(), x.tolist()):
        assert_close(density.log_prob_at(given), expected)
    assert_close(density.log_prob_at([0.5, 1.0]), expected[0])


@pytest.mark.parametrize("bad", [lambda x: x.sum(-1), lambda x: 1.0, lambda x: x[..., :1]])
def test_function_of_the_wrong_shape(bad):
    with pytest.raises(ValueError, match="same shape"):
        FunctionScore(bad)(torch.zeros(1).double(), torch.ones(1, 2).double())


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Gaussian([[0.0]]), r"mean has shape \(1, 1\)"),
        (lambda: Gaussian([0.0, math.nan]), "not finite"),
        (lambda: Gaussian([0.0, 0.0], 0.0), "positive"),
        (lambda: Gaussian([0.0, 0.0], [1.0, -1.0]), "positive"),
        (lambda: Gaussian([0.0, 0.0], [1.0, 1.0, 1.0]), "std has shape"),
        (lambda: GaussianMixture([0.0, 1.0]), "means has shape"),
        (lambda: GaussianMixture([[0.0], [1.0]], [1.0]), "stds has shape"),
        (lambda: GaussianMixture([[0.0], [1.0]], 0.0), "positive"),
        (lambda: GaussianMixture([[0.0], [1.0]], 1.0, [1.0]), "weights has shape"),
        (lambda: GaussianMixture([[0.0], [1.0]], 1.0, [1.0, -1.0]), "negative"),
        (lambda: GaussianMixture([[0.0], [1.0]], 1.0, [0.0, 0.0]), "positive"),
        (lambda: VonMisesFisher([0.0, 0.0], 1.0), "non-zero"),
        (lambda: VonMisesFisher([1.0, 0.0], -1.0), "concentration"),
        (lambda: VonMisesFisher([1.0, 0.0], 1.0, 0.0), "radius"),
    ],
)
def test_bad_arguments(make, match: str):
    with pytest.raises(ValueError, match=match):
        make()
