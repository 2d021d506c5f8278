"""The metamorphosis distance: exact cases, its properties, and arrays of one to three axes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.distances import (
    Metamorphosis,
    metamorphosis_mean,
    nearest_neighbours,
)

METRIC = Metamorphosis(modes=4, steps=60)
GRIDS = [(24,), (12, 10), (6, 7, 5)]


def _axes(size: tuple[int, ...]) -> list[Tensor]:
    """Centres of the cells; the longest edge is 2."""
    axes = [
        ((torch.arange(n, dtype=torch.float64) + 0.5) * 2 / n - 1) * n / max(size) for n in size
    ]
    return list(torch.meshgrid(*axes, indexing="ij"))


def blob(size: tuple[int, ...], *centre: float, width: float = 0.35) -> Tensor:
    """A bump, shape (1, *size)."""
    square = sum((x - c).square() for x, c in zip(_axes(size), centre, strict=True))
    return torch.exp(-0.5 * torch.as_tensor(square) / width**2)[None]


def wavy(size: tuple[int, ...], seed: int) -> Tensor:
    """A smooth array, shape (1, *size)."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(size, dtype=torch.float64)
    for x in _axes(size):
        a, b, c = torch.randn(3, generator=generator, dtype=torch.float64)
        total = total + a * torch.sin(1.5 * x + b) + 0.5 * c * torch.cos(2.5 * x)
    return total[None]


@pytest.mark.parametrize("size", GRIDS, ids=str)
def test_without_motion_it_is_the_euclidean_distance(size: tuple[int, ...]):
    a, b = wavy(size, 0)[None], wavy(size, 1)[None]
    euclid = (a - b).square().mean().sqrt()
    stiff = replace(METRIC, motion_weight=1e9).between(a, b)
    assert_close(stiff.value[0], euclid, rtol=1e-6, atol=0)
    weak = METRIC.between(a, b)
    assert float(weak.value) < float(euclid)
    assert float(weak.motion) > 0


@pytest.mark.parametrize("size", GRIDS, ids=str)
@pytest.mark.parametrize("segments", [1, 2])
def test_equal_arrays_are_at_distance_zero(size: tuple[int, ...], segments: int):
    a = wavy(size, 0)[None].requires_grad_()
    found = replace(METRIC, segments=segments, steps=3).between(a, a.detach())
    assert float(found.value.detach()) == 0
    (slope,) = torch.autograd.grad(found.value.sum(), a)
    assert_close(slope, torch.zeros_like(slope))


def test_a_ramp_that_is_shifted():
    """A = g x, B = g x + c: the shift v = -c g/(λ γ^s + g²) is best, and
    F = c² λ γ^s / (λ γ^s + g²), but for the outermost of 512 cells, beyond which nothing comes."""
    g, c, metric = 3.0, 2e-3, Metamorphosis(modes=1, steps=60, motion_weight=20.0)
    (x,) = _axes((512,))
    found = metric.between((g * x)[None, None], (g * x + c)[None, None])
    price = 20.0 * 0.5
    assert float(found.value) ** 2 == pytest.approx(c**2 * price / (price + g**2), rel=5e-3)
    motion = price * (c * g / (price + g**2)) ** 2
    assert float(found.motion) == pytest.approx(motion, rel=5e-3)


@pytest.mark.parametrize("size", GRIDS, ids=str)
def test_moving_a_thing_costs_no_more_than_the_shift(size: tuple[int, ...]):
    shift = 0.12
    a, b = (blob(size, *[sign * shift / 2] * len(size))[None] for sign in (-1, 1))
    found = replace(METRIC, motion_weight=1e-3, steps=100).between(a, b)
    whole = 1e-3 * 0.5 * len(size) * shift**2  # of moving everything alike
    assert float(found.appearance + found.motion) < whole + 1.5e-4  # what linear sampling blurs
    euclid = float((a - b).square().mean())
    assert float(found.value) ** 2 < 0.1 * euclid


def _cometric(metric: Metamorphosis, x: Tensor, covector: Tensor) -> Tensor:
    """|π|² + ‖T_x* π‖²_K / λ, the inverse of the metric at x, with means over the grid as norms."""
    grid = metric.grid_of(x[None])
    coefficients = torch.zeros(len(grid.size), *grid.counts).to(x).requires_grad_()
    field, slopes = grid.fields(coefficients), grid.slopes(x[None])
    change = torch.stack([slope[0] * field[..., k] for k, slope in enumerate(slopes)]).sum(0)
    pairing = (change * covector).sum(0).mean()
    (dual,) = torch.autograd.grad(pairing, coefficients, create_graph=True)
    return covector.square().sum(0).mean() + dual.square().sum() / metric.motion_weight


@pytest.mark.parametrize("size", [(24,), (16, 14)], ids=str)
def test_small_steps_have_the_length_of_the_metric(size: tuple[int, ...]):
    """d(x - εu/2, x + εu/2) -> ε |u|_G, with G the inverse of the cometric, here as a matrix."""
    metric = Metamorphosis(modes=3, steps=200, motion_weight=0.5)
    x, u = wavy(size, 2), wavy(size, 3)
    square: Any = torch.autograd.functional.hessian(
        lambda p: _cometric(metric, x, p), torch.zeros_like(x)
    )
    inner = 0.5 * square.reshape(x.numel(), x.numel())
    flat = u.flatten() / x.numel()  # means over the grid are inner products over cells
    exact = math.sqrt(float(flat @ torch.linalg.solve(inner, flat)))
    epsilon = 1e-3
    found = metric.between((x - epsilon * u / 2)[None], (x + epsilon * u / 2)[None])
    assert float(found.value) / epsilon == pytest.approx(exact, rel=0.06)  # of coarse grids
    assert exact < 0.85 * float(u.square().mean().sqrt())


@pytest.mark.parametrize("size", GRIDS, ids=str)
def test_it_is_symmetric(size: tuple[int, ...]):
    a = torch.stack([wavy(size, 0), blob(size, *[0.2] * len(size))])
    b = a.flip(0)
    for segments in (1, 2):
        there, back = replace(METRIC, segments=segments, steps=20).between(a, b).value
        assert_close(there, back, rtol=1e-9, atol=0)


def test_a_batch_is_a_loop():
    a = torch.stack([wavy((12, 10), k) for k in range(3)])
    b = torch.stack([wavy((12, 10), k + 3) for k in range(3)])
    batch = METRIC.between(a, b)
    for k in range(3):
        alone = METRIC.between(a[k : k + 1], b[k : k + 1])
        assert_close(batch.value[k], alone.value[0], rtol=1e-9, atol=0)
        assert_close(batch.residual[k], alone.residual[0], rtol=1e-6, atol=0)


@pytest.mark.parametrize("size", [(12,), (5, 4), (3, 4, 3)], ids=str)
def test_derivatives_are_those_of_the_distance(size: tuple[int, ...]):
    """At a minimum over fields the derivative is that at the fields found; here with respect to
    every value, against central differences of all of them in one batch."""
    metric = replace(METRIC, modes=3, steps=150, motion_weight=0.5)
    a, b = wavy(size, 0)[None].requires_grad_(), wavy(size, 1)[None]
    found = metric.between(a, b)
    assert float(found.residual) < 1e-9
    (slope,) = torch.autograd.grad(found.value.sum(), a)
    moves = 1e-4 * torch.eye(b.numel()).double().reshape(-1, *b.shape[1:])
    with torch.no_grad():
        up, down = (metric.between(a + sign * moves, b.expand_as(moves)).value for sign in (1, -1))
    assert_close(slope.flatten(), (up - down) / 2e-4, rtol=1e-4, atol=1e-7)


def test_channels_count_together():
    a, b = wavy((12, 10), 0)[None], wavy((12, 10), 1)[None]
    one = METRIC.between(a, b)
    two = METRIC.between(a.repeat(1, 2, 1, 1), b.repeat(1, 2, 1, 1))
    assert float(two.value) > float(one.value)
    assert float(two.value) <= math.sqrt(2) * float(one.value) + 1e-6


@pytest.fixture(scope="module")
def blobs() -> Tensor:
    """Bumps at five places and of three widths: the first three are of one kind."""
    size, places = (12, 12), ((-0.1, 0), (0.1, 0.1), (0, -0.15), (0.1, 0), (-0.05, 0.1))
    widths = (0.3, 0.3, 0.3, 0.7, 0.7)
    pairs = zip(places, widths, strict=True)
    return torch.stack([blob(size, *place, width=width) for place, width in pairs])


def test_the_matrix(blobs: Tensor):
    seen: list[tuple[int, int]] = []
    found = METRIC.matrix(blobs, errors=True, batch=4, callback=lambda *done: seen.append(done))
    assert seen == [(4, 10), (8, 10), (10, 10)]
    assert torch.equal(found.values, found.values.T)
    assert torch.equal(found.values.diagonal(), torch.zeros(5).double())
    assert_close(found.motion + found.appearance, found.values.square())
    direct = METRIC.between(blobs[:1], blobs[3:4])
    assert_close(found.values[0, 3], direct.value[0], rtol=1e-9, atol=0)
    assert bool((found.errors < 0.2 * found.values + 1e-12).all())
    euclid = (blobs[:, None] - blobs[None]).square().mean((2, 3, 4)).sqrt()
    assert bool((found.values <= euclid + 1e-9).all())


def test_the_matrix_goes_on_from_a_file(blobs: Tensor, tmp_path: Path):
    file = tmp_path / "pairs.safetensors"

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        METRIC.matrix(blobs, batch=4, resume=file, callback=stop)
    seen: list[tuple[int, int]] = []
    kept = METRIC.matrix(blobs, batch=4, resume=file, callback=lambda *done: seen.append(done))
    assert seen == [(8, 10), (10, 10)], "the first batch was not solved again"
    assert_close(kept.values, METRIC.matrix(blobs, batch=4).values, rtol=0, atol=0)
    with pytest.raises(ValueError, match="distances of other points or settings"):
        METRIC.matrix(blobs, batch=5, resume=file)


@pytest.mark.parametrize("size", GRIDS, ids=str)
def test_how_much_a_linear_map_stretches(size: tuple[int, ...]):
    grid = METRIC.grid_of(wavy(size, 0)[None])
    axes = len(size)
    generator = torch.Generator().manual_seed(axes)
    matrix = torch.eye(axes).double() + 0.3 * torch.randn(
        axes, axes, generator=generator, dtype=torch.float64
    )
    found = grid.stretch((grid.points @ matrix.T)[None])
    exact = torch.linalg.det(matrix).clamp(0.1, 10)
    assert_close(found, exact.expand_as(found), rtol=1e-9, atol=0)


def test_triangles_of_a_small_set(blobs: Tensor):
    """One segment need not obey the inequality; here it does within its error."""
    found = METRIC.matrix(blobs, errors=True)
    detour = (found.values[:, :, None] + found.values[None]).amin(1)
    assert bool((found.values <= detour + 3 * found.errors + 1e-12).all())


def test_things_of_one_kind_are_near_wherever_they_are(blobs: Tensor):
    nearest = nearest_neighbours(METRIC.matrix(blobs).values, 2)
    assert {*nearest[0].tolist()} == {1, 2}
    assert nearest[3, 0] == 4
    assert nearest[4, 0] == 3
    assert nearest.shape == (5, 2)
    with pytest.raises(ValueError, match="count is 5 for 5 points"):
        nearest_neighbours(torch.zeros(5, 5), 5)


@pytest.mark.usefixtures("unchecked_types")
def test_lists_arrays_and_one_channel(blobs: Tensor):
    whole = METRIC.matrix(blobs[:3]).values
    plain = blobs[:3, 0]
    for given in (plain.tolist(), plain.numpy(), np.asarray(plain)):
        assert_close(METRIC.matrix(given, channels=False).values, whole, rtol=1e-9, atol=0)


def test_a_density_scales_distances(blobs: Tensor):
    level = [0.0, 1.0, -2.0]
    plain = METRIC.matrix(blobs[:3]).values
    found = METRIC.matrix(blobs[:3], log_density=level, alpha=0.3).values
    factor = torch.tensor([[math.exp(-0.15 * (a + b)) for b in level] for a in level]).double()
    assert_close(found, plain * factor, rtol=1e-5, atol=0)


def test_the_mean_is_sharp():
    """The mean of a bump at two places is one bump between them, not two."""
    size = (16, 16)
    left, right = blob(size, 0, -0.25, width=0.25), blob(size, 0, 0.25, width=0.25)
    metric = Metamorphosis(modes=6, steps=40, motion_weight=1e-3)
    mean, distances = metamorphosis_mean(metric, torch.stack([left, right]))
    middle = blob(size, 0, 0, width=0.25)
    average = 0.5 * (left + right)
    assert float((mean - middle).square().mean()) < 0.2 * float((average - middle).square().mean())
    assert_close(distances[0], distances[1], rtol=0.3, atol=0)
    whole = metric.between(left[None], right[None]).value
    assert float(distances.max()) < 0.8 * float(whole)


@pytest.mark.parametrize(
    "setting",
    [
        {"motion_weight": 0.0},
        {"gamma": -1.0},
        {"smoothness": math.nan},
        {"modes": 0},
        {"steps": 0},
        {"segments": 3},
    ],
)
def test_bad_settings(setting: dict[str, Any]):
    with pytest.raises(ValueError, match="expected motion_weight"):
        Metamorphosis(**setting)


@pytest.mark.usefixtures("unchecked_types")
def test_bad_input(blobs: Tensor):
    with pytest.raises(ValueError, match="twice the same"):
        METRIC.between(blobs, blobs[:2])
    with pytest.raises(ValueError, match="one to three axes"):
        METRIC.between(blobs[:, :, 0, 0], blobs[:, :, 0, 0])
    with pytest.raises(ValueError, match="got 1 arrays"):
        METRIC.matrix(blobs[:1])
    with pytest.raises(ValueError, match="log densities of shape"):
        METRIC.matrix(blobs, log_density=[0.0], alpha=1.0)
    with pytest.raises(ValueError, match="not finite"):
        METRIC.matrix(torch.full((2, 1, 4, 4), torch.nan))
    with pytest.raises(ValueError, match="got weights"):
        metamorphosis_mean(METRIC, blobs, weights=[1.0])
    with pytest.raises(ValueError, match="got -1 rounds"):
        metamorphosis_mean(METRIC, blobs, rounds=-1)
