"""Coordinates between latents: inverses, derivatives, scores by the chain rule, axes of pairs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.density import FunctionScore, Gaussian
from diffusion_geodesics.geodesics import geodesic
from diffusion_geodesics.latents.coordinates import (
    Ambient,
    Coordinates,
    CoordinateScore,
    MovingFrame,
    Shell,
    shell,
    shell_of,
)
from diffusion_geodesics.manifold import Flat, Sphere
from diffusion_geodesics.path import Spline, chord

DIM, PAIRS = 10, 3
TIMES = torch.linspace(0, 1, 12, dtype=torch.float64)
BOTH = torch.tensor([0.0, 1.0], dtype=torch.float64)
GAUSSIAN = Gaussian(torch.linspace(-1, 1, DIM, dtype=torch.float64), 0.7)


def normal(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def ends(pairs: int | None = None, seed: int = 0) -> Tensor:
    """Two latents of different norms, or those of several pairs."""
    both = normal(2, *([] if pairs is None else [pairs]), DIM, seed=seed)
    return both * torch.tensor([1.0, 1.6], dtype=torch.float64).reshape(2, *[1] * (both.ndim - 1))


def shift(pairs: int | None = None) -> Spline:
    """An offset that is zero at both ends."""
    t = torch.linspace(0, 1, 33, dtype=torch.float64).reshape(33, *[1] * (1 if not pairs else 2))
    there, aside = normal(2, *([] if pairs is None else [pairs]), DIM, seed=5)
    offset = (torch.pi * t).sin() * there + (2 * torch.pi * t).sin() * aside
    offset[[0, -1]] = 0
    return Spline(offset)


KINDS = ("flat", "ambient sphere", "shell", "moving shell", "moving flat")


def coordinates(kind: str, pairs: int | None = None) -> Coordinates:
    match kind:
        case "flat":
            return Ambient()
        case "ambient sphere":
            return Ambient(Sphere(2.0))
        case "shell":
            return shell(*ends(pairs))
        case "moving shell":
            return MovingFrame(shell(*ends(pairs)), shift(pairs))
        case _:
            return MovingFrame(Ambient(), shift(pairs))


every_kind = pytest.mark.parametrize("kind", KINDS)


def points_on(found: Coordinates, *shape: int, seed: int = 1) -> Tensor:
    return found.manifold.project(normal(*shape, DIM, seed=seed))


@pytest.mark.parametrize("pairs", [None, PAIRS])
@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 1000))
def test_a_change_of_coordinates_and_back_is_none(kind: str, pairs: int | None, seed: int) -> None:
    found = coordinates(kind, pairs)
    y = points_on(found, 12, *([] if pairs is None else [pairs]), seed=seed)
    assert_close(found.coordinates(TIMES, found.latent(TIMES, y)), y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("pairs", [None, PAIRS])
@pytest.mark.parametrize("kind", ["shell", "moving shell"])
def test_both_ends_are_exact_and_norms_go_straight_from_one_to_the_other(
    kind: str, pairs: int | None
) -> None:
    found, latents = coordinates(kind, pairs), ends(pairs)
    corners = found.coordinates(BOTH, latents)
    assert_close(found.latent(BOTH, corners), latents)
    y = chord(corners[0], corners[1], found.manifold)(TIMES)
    x = (found.still if isinstance(found, MovingFrame) else found).latent(TIMES, y)
    t = TIMES.reshape(-1, *[1] * (x.ndim - 2))
    first, last = latents.norm(dim=-1)
    assert_close(x.norm(dim=-1), (1 - t) * first + t * last)
    assert found.manifold == Sphere(DIM**0.5)


@pytest.mark.parametrize("pairs", [None, PAIRS])
@every_kind
def test_the_velocity_is_the_derivative_of_the_latent(kind: str, pairs: int | None) -> None:
    found = coordinates(kind, pairs)
    corners = found.coordinates(BOTH, ends(pairs))
    path = chord(corners[0], corners[1], found.manifold)
    t, h = TIMES[1:-1], 1e-5
    ahead, behind = (found.latent(s, path(s)) for s in (t + h, t - h))
    velocity = found.velocity(t, path(t), path(t, 1))
    assert_close(velocity, (ahead - behind) / (2 * h), rtol=0, atol=1e-6)


@pytest.mark.parametrize("pairs", [None, PAIRS])
@every_kind
def test_the_score_is_the_gradient_by_the_chain_rule(kind: str, pairs: int | None) -> None:
    """∇_y log p(x(t, y)), by automatic differentiation of the density itself."""
    found = coordinates(kind, pairs)
    y = points_on(found, 12, *([4] if pairs is None else [pairs])).requires_grad_(True)
    t = TIMES[:, None]
    if pairs is None:  # four points at each parameter, of one pair
        latent = torch.stack([found.latent(TIMES, y[:, k]) for k in range(4)], 1)
    else:
        latent = found.latent(TIMES, y)
    (gradient,) = torch.autograd.grad(GAUSSIAN.log_prob(t, latent).sum(), y)
    score, fixed = found.score(GAUSSIAN), y.detach()
    assert_close(score(t, fixed), gradient)
    if pairs is None:
        for k in range(4):
            assert_close(score(TIMES, fixed[:, k]), gradient[:, k])
        assert_close(score(TIMES[3], fixed[3, 0]), gradient[3, 0])


@every_kind
def test_an_axis_of_pairs_is_a_loop_over_pairs(kind: str) -> None:
    found = coordinates(kind, PAIRS)
    y, rate = points_on(found, 12, PAIRS), normal(12, PAIRS, DIM, seed=7)
    x, score = found.latent(TIMES, y), found.score(GAUSSIAN)
    velocity, value = found.velocity(TIMES, y, rate), score(TIMES[:, None], y)
    for pair in range(PAIRS):
        one = found.select(pair)
        assert_close(one.latent(TIMES, y[:, pair]), x[:, pair])
        assert_close(one.coordinates(TIMES, x[:, pair]), found.coordinates(TIMES, x)[:, pair])
        assert_close(one.velocity(TIMES, y[:, pair], rate[:, pair]), velocity[:, pair])
        assert_close(one.score(GAUSSIAN)(TIMES, y[:, pair]), value[:, pair])
    index = torch.tensor([2, 0])
    some = found.select(index)
    assert_close(some.latent(TIMES, y[:, index]), x[:, index])
    assert_close(score.select(index)(TIMES[:, None], y[:, index]), value[:, index])


def test_a_score_of_several_pairs_in_a_moving_frame_needs_one_parameter_for_all() -> None:
    score = coordinates("moving shell", PAIRS).score(GAUSSIAN)
    with pytest.raises(ValueError, match="expected one parameter for all pairs"):
        score(TIMES[:, None].expand(12, PAIRS), normal(12, PAIRS, DIM))


def test_the_precision_is_that_of_the_longer_end() -> None:
    found = coordinates("shell", PAIRS)
    longest = float(ends(PAIRS).norm(dim=-1).max())
    expected = longest**2 / DIM / 0.7**2
    assert found.score(GAUSSIAN).precision == pytest.approx(expected)
    assert CoordinateScore(FunctionScore(lambda x: -x), found).precision is None


@given(first=st.floats(0, 2), length=st.floats(0.01, 1), u=st.floats(0, 1))
def test_a_piece_of_a_shell_is_the_shell_there_and_norms_stay_beyond_one(
    first: float, length: float, u: float
) -> None:
    found = shell(*ends())
    part = found.piece(first, first + length)
    if first + length <= 1 or first >= 1:
        t = torch.tensor([u, min(first + u * length, 1.0)], dtype=torch.float64)
        assert float(part.scale(t[0])) == pytest.approx(float(found.scale(t[1])), rel=1e-9)
    if first >= 1:
        assert float(part.slope()) == 0


def test_the_shell_of_one_latent_keeps_its_norm() -> None:
    x = normal(DIM)
    found = shell_of(x)
    assert float(found.slope()) == 0
    y = found.coordinates(TIMES[:1], x[None])
    assert float(y.norm()) == pytest.approx(DIM**0.5)
    assert_close(found.latent(TIMES[:1], y)[0], x)


def test_shells_are_equal_where_their_norms_are() -> None:
    latents = ends(PAIRS)
    assert shell(*latents) == shell(*latents.clone())
    assert hash(shell(*latents)) == hash(shell(*latents.clone()))
    assert shell(*latents) != shell(*(2 * latents))
    assert shell(*latents) != Ambient()
    assert Ambient(Flat()) == Ambient()
    assert isinstance(shell(*latents).select(0), Shell)


def test_without_strength_the_geodesic_of_a_moving_frame_is_its_chord() -> None:
    found, latents = coordinates("moving shell"), ends()
    corners = found.coordinates(BOTH, latents)
    arc = chord(corners[0], corners[1], found.manifold)
    score = found.score(GAUSSIAN)
    free = geodesic(score, *corners, alpha=0.0, manifold=found.manifold)
    assert_close(free.path(TIMES), arc(TIMES), rtol=0, atol=1e-6)
    bent = geodesic(score, *corners, alpha=0.02, manifold=found.manifold, throw=False)
    assert_close(found.latent(TIMES, bent.path(TIMES))[[0, -1]], latents)
    assert float((bent.path(TIMES) - arc(TIMES)).norm(dim=-1).max()) > 1e-3
