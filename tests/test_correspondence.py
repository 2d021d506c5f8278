"""Correspondences by features, images carried along them, and the moving frame that they give."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate
from torch.testing import assert_close

import diffusion_geodesics as dg
from diffusion_geodesics.apps import Settings
from diffusion_geodesics.apps.carriage import NODES, Carriage, carriage
from diffusion_geodesics.apps.chart import CarriedChart, Chart, FlatChart, shell
from diffusion_geodesics.apps.job import Job, prepare
from diffusion_geodesics.apps.track import track
from diffusion_geodesics.correspondence import LEVELS, ROWS, Field, Matches, carry, look, match
from diffusion_geodesics.correspondence.matching import places
from diffusion_geodesics.correspondence.splatting import _splat
from diffusion_geodesics.diffusion import Condition, Cost
from diffusion_geodesics.models import FunctionModel, from_denoiser
from diffusion_geodesics.path import GreatArc, Spline, chord

SIZES = [(12, 12), (10, 16), (16, 10)]


def smooth(channels: int, height: int, width: int, seed: int = 0) -> Tensor:
    """Random features that change within about two cells."""
    shape = (1, channels, height + 2, width + 2)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return avg_pool2d(noise, 3, stride=1)[0]


def shifted(big: Tensor, right: int, down: int) -> tuple[Tensor, Tensor]:
    """Two windows of one grid: what the first shows lies further right and down in the last."""
    height, width = big.shape[1] - down, big.shape[2] - right
    return big[:, down:, right:], big[:, :height, :width]


def inside(field: Field, right: int, down: int) -> tuple[Tensor, Tensor]:
    """Displacements, in cells, and weights where both windows overlap, but for the border."""
    height, width = field.weight.shape
    rows = slice(1 + max(0, -down), height - 1 - max(0, down))
    columns = slice(1 + max(0, -right), width - 1 - max(0, right))
    cells = field.displacement[rows, columns] * min(height, width) / 2
    return cells.reshape(-1, 2), field.weight[rows, columns]


# Matching


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shift", [(0, 0), (3, 0), (0, 2), (2, 3)])
def test_a_shift_by_whole_cells_is_found(size: tuple[int, int], shift: tuple[int, int]) -> None:
    right, down = shift
    big = smooth(48, size[0] + down, size[1] + right)
    found = match(*([grid] for grid in shifted(big, right, down)))
    for field, sign in ((found.forward, 1), (found.backward, -1)):
        assert field.weight.shape == size
        cells, weight = inside(field, sign * right, sign * down)
        off = (cells - sign * torch.tensor([right, down])).norm(dim=-1)
        assert float(off.mean()) < 0.1
        assert float(off.max()) < 0.4
        assert float(weight.min()) > 0.3, "distinct and mutual"


def test_what_leaves_the_image_is_not_trusted() -> None:
    first, last = shifted(smooth(48, 12, 16), 4, 0)
    weight = match([first], [last]).forward.weight
    assert float(weight[1:-1, -3:].mean()) < 0.3 * float(weight[1:-1, 1:-5].mean())


@pytest.mark.parametrize("size", SIZES)
def test_the_same_features_do_not_move(size: tuple[int, int]) -> None:
    distinct = torch.randn(256, *size, generator=torch.Generator().manual_seed(0))
    found = match([distinct], [distinct])
    for field in (found.forward, found.backward):
        assert_close(field.displacement, torch.zeros(*size, 2), rtol=0, atol=1e-5)
        assert float(field.weight.min()) > 0.5
    assert found.moved < 1e-5
    alike = smooth(48, *size)
    assert match([alike], [alike]).moved < 0.25 / min(size), "a quarter of a cell, at the border"


def test_moved_is_the_share_of_the_shorter_edge() -> None:
    still, moving = torch.zeros(4, 6, 2), torch.zeros(4, 6, 2)
    moving[..., 0] = 0.6
    weight = torch.ones(4, 6)
    assert Matches(Field(moving, weight), Field(still, weight)).moved == pytest.approx(0.15)
    assert Matches(Field(moving, weight), Field(still, 0 * weight)).moved == pytest.approx(0.3)
    assert Matches(Field(moving, 0 * weight), Field(still, 0 * weight)).moved == 0


@settings(max_examples=10)
@given(seed=st.integers(0, 100), down=st.integers(0, 3), right=st.integers(0, 3))
def test_exchanging_the_images_exchanges_the_fields(seed: int, down: int, right: int) -> None:
    grids = [
        shifted(smooth(16, n + down, n + 2 + right, seed), right, down)
        for n in (6, 12)  # unrelated grids of two sizes, which any features may be
    ]
    first, last = ([pair[k] for pair in grids] for k in (0, 1))
    forth, back = match(first, last), match(last, first)
    for a, b in ((forth.forward, back.backward), (forth.backward, back.forward)):
        assert_close(a.displacement, b.displacement, rtol=0, atol=1e-5)
        assert_close(a.weight, b.weight, rtol=0, atol=1e-5)


def test_the_coarse_grid_tells_which_of_two_equal_things_it_is() -> None:
    """Fine features repeat every 8 cells, and go 6 to the right: the nearest equal ones are 2 to
    the left."""
    period = smooth(48, 16, 8)
    fine = shifted(torch.cat([period, period, period], 2)[..., :22], 6, 0)
    coarse = shifted(smooth(48, 8, 11, seed=1), 3, 0)
    alone = inside(match([fine[0]], [fine[1]]).forward, 6, 0)[0]
    both = inside(match([coarse[0], fine[0]], [coarse[1], fine[1]]).forward, 6, 0)[0]
    away = torch.tensor([6.0, 0.0])
    assert float(alone[:, 0].median()) == pytest.approx(-2, abs=0.2)
    assert float((both - away).norm(dim=-1).median()) < 0.2
    assert float(((both - away).norm(dim=-1) < 0.5).float().mean()) > 0.9


def test_the_fine_grid_places_what_the_coarse_one_finds() -> None:
    """A shift by a cell and a half of the coarse grid is one by three of the fine one."""
    big = smooth(48, 16, 19)
    fine = shifted(big, 3, 0)
    coarse = [avg_pool2d(grid[None], 2)[0] for grid in fine]
    cells = inside(match([coarse[0], fine[0]], [coarse[1], fine[1]]).forward, 3, 0)[0]
    off = (cells - torch.tensor([3.0, 0.0])).norm(dim=-1)
    assert float(off.median()) < 0.1
    assert float((off < 0.5).float().mean()) > 0.9


def test_places_are_square_whatever_the_grid() -> None:
    assert places(1, 2).tolist() == [[-1.0, 0.0], [1.0, 0.0]]
    grid = places(4, 6).reshape(4, 6, 2)
    assert_close(grid[0, 1] - grid[0, 0], torch.tensor([0.5, 0.0]))
    assert_close(grid[1, 0] - grid[0, 0], torch.tensor([0.0, 0.5]))
    assert_close(grid.mean((0, 1)), torch.zeros(2))


def test_grids_that_do_not_fit_are_refused() -> None:
    grid = smooth(4, 6, 6)
    with pytest.raises(ValueError, match="at least one"):
        match([], [])
    with pytest.raises(ValueError, match="the same shapes"):
        match([grid], [grid[:, :5]])
    with pytest.raises(ValueError, match="the same shapes"):
        match([grid], [grid, grid])


# Carrying


def pictures(height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(2, 3, height, width, generator=generator, dtype=dtype)


def uniform(size: tuple[int, int], way: tuple[float, float], cells: tuple[int, int]) -> Matches:
    """Every pixel of the first image goes the same way, in pixels, and back from the last."""
    there = torch.tensor(way).expand(*cells, 2) * 2 / min(size)
    weight = torch.ones(*cells)
    return Matches(Field(there, weight), Field(-there, weight))


def anywhere(height: int, width: int) -> Matches:
    generator = torch.Generator().manual_seed(5)
    ways = [0.5 * torch.randn(height, width, 2, generator=generator) for _ in range(2)]
    weights = [torch.rand(height, width, generator=generator) for _ in range(2)]
    return Matches(Field(ways[0], weights[0]), Field(ways[1], weights[1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_the_ends_are_the_images(dtype: torch.dtype, precision: torch.dtype) -> None:
    images, found = pictures(12, 20, dtype), anywhere(6, 10)
    fields = [
        Field(f.displacement.to(precision), f.weight.to(precision))
        for f in (found.forward, found.backward)
    ]
    frames = carry(images, Matches(*fields), torch.tensor([0.0, 0.5, 1.0], dtype=precision))
    assert frames.dtype == dtype
    assert frames.shape == (3, 3, 12, 20)
    assert torch.equal(frames[[0, -1]], images)
    assert 0 <= float(frames.min()) <= float(frames.max()) <= 1 + 1e-6


def test_near_the_ends_the_mosaic_is_near_the_images() -> None:
    images, found = pictures(12, 20), anywhere(6, 10)
    ends = carry(images, found, torch.tensor([1e-7, 1 - 1e-7], dtype=torch.float64))
    assert_close(ends, images, rtol=0, atol=1e-3)


@pytest.mark.parametrize("size", [(8, 8), (8, 12)])
def test_without_displacement_it_is_a_cross_fade(size: tuple[int, int]) -> None:
    images = pictures(*size)
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    frames = carry(images, uniform(size, (0.0, 0.0), (4, 4)), t)
    for frame, at in zip(frames, t.tolist(), strict=True):
        assert_close(frame, torch.lerp(images[0], images[1], at), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(24, 24), (16, 28), (28, 16)])
@pytest.mark.parametrize("way", [(8, 0), (0, -4), (4, 8)])
def test_a_uniform_displacement_moves_the_picture(
    size: tuple[int, int], way: tuple[int, int]
) -> None:
    (height, width), (right, down) = size, way
    first = pictures(height, width)[0]
    last = first.roll((down, right), (1, 2))
    t = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    frames = carry(torch.stack([first, last]), uniform(size, way, (height // 4, width // 4)), t)
    rows = slice(max(0, down), height + min(0, down))
    columns = slice(max(0, right), width + min(0, right))
    for frame, at in zip(frames, t.tolist(), strict=True):
        moved = first.roll((round(at * down), round(at * right)), (1, 2))
        assert_close(frame[:, rows, columns], moved[:, rows, columns], rtol=0, atol=1e-4)


def test_half_a_pixel_is_the_mean_of_neighbours() -> None:
    first = pictures(8, 12)[0]
    both = torch.stack([first, first.roll(1, 2)])
    middle = carry(both, uniform((8, 12), (1.0, 0.0), (8, 12)), torch.tensor([0.5]))[0]
    mean = (first + first.roll(1, 2)) / 2
    assert_close(middle[..., 2:-2], mean[..., 2:-2], rtol=0, atol=1e-4)


def test_a_constant_picture_stays_constant() -> None:
    images = torch.full((2, 3, 9, 14), 0.3, dtype=torch.float64)
    frames = carry(images, anywhere(5, 7), torch.linspace(0, 1, 9))
    assert_close(frames, torch.full_like(frames, 0.3))


def test_where_several_arrive_the_distinct_match_wins() -> None:
    """Two pixels of the first image meet half-way in the middle one; both others stay."""
    images = torch.zeros(2, 1, 5, 5, dtype=torch.float64)
    images[0, 0, 2, 0], images[0, 0, 2, 4] = 1.0, 0.5
    there = torch.zeros(5, 5, 2)
    there[2, 0, 0], there[2, 4, 0] = 4 * 2 / 5, -4 * 2 / 5
    weight = torch.zeros(5, 5)
    weight[2, 4] = 1.0
    found = Matches(Field(there, weight), Field(torch.zeros(5, 5, 2), torch.zeros(5, 5)))
    middle = carry(images, found, torch.tensor([0.5]))
    assert float(middle[0, 0, 2, 2]) == pytest.approx(0.5, abs=1e-3)


@settings(max_examples=10)
@given(seed=st.integers(0, 1000), height=st.integers(9, 14), width=st.integers(9, 14))
def test_splatting_keeps_the_sum_of_what_stays_inside(seed: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(2, height, width, dtype=torch.float64)
    image[:, 4:-4, 4:-4] = torch.rand(2, height - 8, width - 8, generator=generator).double()
    way = 8 * torch.rand(2, height, width, generator=generator, dtype=torch.float64) - 4
    assert_close(_splat(image, 0.99 * way).sum((1, 2)), image.sum((1, 2)))


@pytest.mark.parametrize("t", [-0.1, 1.5])
def test_t_outside_the_path_is_refused(t: float) -> None:
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        carry(pictures(4, 4), anywhere(2, 2), torch.tensor([0.5, t]))


# Looking


def seen(x: Tensor, sigma: float, text: Tensor) -> tuple[Tensor, Tensor]:
    """Features of a picture, coarse and fine, at any noise."""
    return avg_pool2d(x, 4), torch.cat([x, text[:, :, None, None] + 0 * x], 1)


def clean_picture(x: Tensor, sigma: float, text: Tensor) -> Tensor:
    """The mean of N(0, 1) data."""
    return x / (1 + sigma**2)


def words(text: str) -> Tensor:
    return torch.full((1,), float(len(text)))


def function_model(features: bool = True) -> FunctionModel:
    return from_denoiser(
        clean_picture, (3, 16, 24), embed=words, features=seen if features else None
    )


def latents(model: FunctionModel, count: int = 2) -> Tensor:
    noise = torch.rand(count, 3, 4, 6, generator=torch.Generator().manual_seed(2))
    images = interpolate(noise, size=(16, 24), mode="bicubic").clamp(0, 1)
    return model.codec(16, 24).encode(images).double()


def test_looking_costs_twelve_rows_an_image() -> None:
    rows: list[tuple[int, float]] = []

    def counting(x: Tensor, sigma: float, text: Tensor) -> tuple[Tensor, Tensor]:
        rows.append((len(x), sigma))
        return seen(x, sigma, text)

    model = from_denoiser(clean_picture, (3, 16, 24), embed=words, features=counting)
    clean, condition = latents(model), model.encode_prompt("")
    grids, cost = look(model.denoiser(16, 24), clean, condition, steps=25)
    assert [g.shape for g in grids] == [(2, 3 * len(LEVELS), 4, 6), (2, 6 * len(LEVELS), 16, 24)]
    assert (cost.rows, cost.calls) == (2 * ROWS, len(LEVELS)) == (24, 3)
    assert sum(n for n, _ in rows) == 24
    sigmas = [sigma for _, sigma in rows]
    assert sigmas == sorted(set(sigmas)), "every level once, from little noise to much"
    _, more = look(model.denoiser(16, 24), latents(model, 3), condition, steps=25)
    assert more.rows == 36


def test_features_are_standardised_and_seeded() -> None:
    model = function_model()
    denoiser, condition = model.denoiser(16, 24), model.encode_prompt("")
    clean = latents(model)
    grids, _ = look(denoiser, clean, condition, steps=25, seed=7)
    for grid in grids:
        assert grid.dtype == torch.float32
        assert_close(grid.mean((0, 2, 3)), torch.zeros(grid.shape[1]), rtol=0, atol=1e-5)
        assert float(grid.square().mean()) == pytest.approx(1, abs=1e-4)
    again, _ = look(denoiser, clean, condition, steps=25, seed=7)
    other, _ = look(denoiser, clean, condition, steps=25, seed=8)
    assert all(torch.equal(a, b) for a, b in zip(grids, again, strict=True))
    assert not torch.allclose(grids[0], other[0])


def test_dead_channels_change_nothing_and_loud_ones_are_brought_down() -> None:
    def silent(x: Tensor, sigma: float) -> tuple[Tensor]:
        return (torch.cat([x, torch.zeros_like(x), torch.zeros_like(x)], 1),)

    def loud(x: Tensor, sigma: float) -> tuple[Tensor]:
        return (torch.cat([x, 1e4 * x[:, :1]], 1),)

    def mean(x: Tensor, sigma: float) -> Tensor:
        return x / (1 + sigma**2)

    found = []
    for features in (silent, loud):
        model = from_denoiser(mean, (3, 16, 24), features=features)
        seen_by, _ = look(model.denoiser(16, 24), latents(model), model.encode_prompt(""), steps=25)
        found.append(seen_by[0].square().mean((0, 2, 3)))
    quiet, brought = (power.unflatten(0, (len(LEVELS), -1)) for power in found)
    assert float(quiet[:, :3].min()) > 0.5
    assert float(quiet[:, 3:].max()) == 0
    assert float((brought[:, 3] / brought[:, :3].median(1).values).max()) < 4.5**2


def test_large_grids_are_averaged() -> None:
    def mean(x: Tensor, sigma: float) -> Tensor:
        return x / (1 + sigma**2)

    model = from_denoiser(mean, (1, 96, 160), features=lambda x, sigma: (x,))
    clean = torch.randn(2, 96 * 160, generator=torch.Generator().manual_seed(0))
    (grid,), _ = look(model.denoiser(96, 160), clean, model.encode_prompt(""), steps=25)
    assert grid.shape == (2, 3, 32, 53)


def test_all_images_share_their_noise_and_keep_their_conditions() -> None:
    model = function_model()
    clean = latents(model)[:1].expand(2, -1)
    same, _ = look(model.denoiser(16, 24), clean, model.encode_prompt("ab"), steps=25)
    for grid in same:
        assert torch.equal(grid[0], grid[1])
    conditions = Condition.stack([model.encode_prompt(text) for text in ("", "abcdef")])
    _, fine = look(model.denoiser(16, 24), clean, conditions, steps=25)[0]
    told = fine.unflatten(1, (len(LEVELS), 6))[:, :, 3:]
    assert float(told[0].max()) < 0 < float(told[1].min()), "the text's channels, row by row"
    assert torch.equal(told[0], -told[1])


def test_a_network_without_features_is_not_looked_at() -> None:
    model = function_model(features=False)
    grids, cost = look(model.denoiser(16, 24), latents(model), model.encode_prompt(""), steps=25)
    assert grids == ()
    assert cost == Cost()


# The moving frame


def moving(dim: int, flat: bool = False) -> tuple[CarriedChart, Tensor]:
    """A carried chart between two latents of different norms, and those."""
    generator = torch.Generator().manual_seed(0)
    ends = torch.randn(2, dim, generator=generator, dtype=torch.float64)
    ends[1] *= 1.6
    still: Chart = FlatChart() if flat else shell(*ends)
    t = torch.linspace(0, 1, 33, dtype=torch.float64)[:, None]
    there, aside = torch.randn(2, dim, generator=generator, dtype=torch.float64)
    offset = (torch.pi * t).sin() * there + (2 * torch.pi * t).sin() * aside
    offset[[0, -1]] = 0
    return CarriedChart(still, Spline(offset)), ends


TIMES = torch.linspace(0, 1, 12, dtype=torch.float64)
GAUSSIAN = dg.Gaussian(torch.linspace(-1, 1, 10, dtype=torch.float64), 0.7)


@pytest.mark.parametrize("flat", [False, True])
def test_coordinates_are_those_that_latents_were_made_of(flat: bool) -> None:
    chart, ends = moving(10, flat)
    points = torch.randn(12, 5, 10, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = chart.manifold.project(points)
    assert_close(chart.coordinates(TIMES, chart.latent(TIMES, y)), y)
    between = TIMES[1:-1]
    assert not torch.allclose(chart.latent(between, y[1:-1]), chart.still.latent(between, y[1:-1]))
    both = torch.tensor([0.0, 1.0], dtype=torch.float64)
    corners = chart.coordinates(both, ends)
    assert_close(corners, chart.still.coordinates(both, ends))
    assert_close(chart.latent(both, corners), ends)


@pytest.mark.parametrize("flat", [False, True])
def test_velocity_is_the_derivative(flat: bool) -> None:
    chart, ends = moving(10, flat)
    corners = chart.coordinates(TIMES[[0, -1]], ends)
    path = chord(corners[0], corners[1], chart.manifold)
    t, h = TIMES[1:-1], 1e-5
    ahead, behind = (chart.latent(s, path(s)) for s in (t + h, t - h))
    assert_close(
        chart.velocity(t, path(t), path(t, 1)), (ahead - behind) / (2 * h), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("flat", [False, True])
def test_the_score_is_the_gradient_in_the_moving_frame(flat: bool) -> None:
    chart, _ = moving(10, flat)
    points = torch.randn(12, 4, 10, generator=torch.Generator().manual_seed(1)).double()
    y = chart.manifold.project(points).requires_grad_(True)
    t = TIMES[:, None]
    density = GAUSSIAN.log_prob(t, chart.latent(TIMES, y))
    (gradient,) = torch.autograd.grad(density.sum(), y)
    score, fixed = chart.score(GAUSSIAN), y.detach()
    assert_close(score(t, fixed), gradient)
    every = t.expand(12, 4)
    assert_close(score(every, fixed), gradient)
    for k in range(4):
        assert_close(score(TIMES, fixed[:, k]), gradient[:, k])
    assert_close(score(TIMES[3], fixed[3, 0]), gradient[3, 0])


def test_density_along_a_carried_path_is_that_of_its_latents() -> None:
    chart, ends = moving(10)
    corners = chart.coordinates(TIMES[[0, -1]], ends)
    path = chord(corners[0], corners[1], chart.manifold)
    profile = dg.measure(
        dg.Conformal(chart.score(GAUSSIAN), 0.0, chart.manifold), path, intervals=48
    )
    found = track("carried", chart, path, profile, (0.8, 0.6))
    x = chart.latent(found.t, path(found.t))
    exact = GAUSSIAN.log_prob(found.t, x) - GAUSSIAN.log_prob(found.t[:1], x[:1])
    assert_close(found.log_density, exact, rtol=0, atol=1e-2)
    assert_close(found.norm, x.norm(dim=-1))


def test_a_geodesic_of_no_strength_is_carried_as_it_is() -> None:
    chart, ends = moving(10)
    corners = chart.coordinates(TIMES[[0, -1]], ends)
    free = dg.geodesic(chart.score(GAUSSIAN), *corners, alpha=0.0, manifold=chart.manifold)
    arc = chord(corners[0], corners[1], chart.manifold)
    assert_close(free.path(TIMES), arc(TIMES), rtol=0, atol=1e-6)
    bent = dg.geodesic(
        chart.score(GAUSSIAN), *corners, alpha=0.02, manifold=chart.manifold, throw=False
    )
    assert_close(chart.latent(TIMES, bent.path(TIMES))[[0, -1]], ends)
    assert float((bent.path(TIMES) - arc(TIMES)).norm(dim=-1).max()) > 1e-3


# The carriage of two images


def two_images() -> tuple[Tensor, Tensor]:
    noise = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(4))
    first, last = interpolate(noise, size=(16, 24), mode="bicubic").clamp(0, 1)
    return first, last


def noised(model: FunctionModel) -> tuple[Job, Tensor, Tensor]:
    job = prepare(model, *two_images(), Settings(size=(16, 24)))
    clean = job.codec.encode(job.images).double()
    schedule, settings = job.denoiser.schedule, job.settings
    a, sigma = schedule.coefficients(schedule.timestep(settings.steps, settings.level))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(6)).double()
    return job, clean, a * clean + sigma * noise


@pytest.mark.parametrize("flat", [False, True])
def test_the_chord_of_the_carried_chart_is_the_carried_path(flat: bool) -> None:
    job, clean, ends = noised(function_model())
    still: Chart = FlatChart() if flat else shell(*ends)
    found, cost = carriage(job, clean, ends, still)
    assert isinstance(found, Carriage)
    assert cost.rows == 24
    t = torch.linspace(0, 1, NODES, dtype=torch.float64)
    corners = found.chart.coordinates(t[[0, -1]], ends)
    assert_close(corners, still.coordinates(t[[0, -1]], ends))
    straight = chord(corners[0], corners[1], found.chart.manifold)
    assert_close(found.chart.latent(t, straight(t)), found.path(t))
    between = (t[1:] + t[:-1]) / 2
    assert_close(
        found.chart.latent(between, straight(between)), found.path(between), rtol=0, atol=1e-4
    )
    assert_close(found.path(t[[0, -1]]), ends)
    assert_close(found.chart.latent(t[[0, -1]], corners), ends)


def test_the_carried_path_is_noised_mosaics() -> None:
    job, clean, ends = noised(function_model())
    found, _ = carriage(job, clean, ends, shell(*ends))
    assert found is not None
    assert found.matches.moved > 0
    schedule = job.denoiser.schedule
    a, sigma = schedule.coefficients(schedule.timestep(job.settings.steps, job.settings.level))
    t = torch.linspace(0, 1, NODES, dtype=torch.float64)
    noise = GreatArc(*((ends - a * clean) / sigma))(t)
    mosaics = job.codec.encode(carry(job.images, found.matches, t))
    assert_close((found.path(t) - sigma * noise) / a, mosaics.double(), rtol=0, atol=1e-4)


def test_without_features_there_is_no_carriage() -> None:
    job, clean, ends = noised(function_model(features=False))
    found, cost = carriage(job, clean, ends, shell(*ends))
    assert found is None
    assert cost == Cost()
