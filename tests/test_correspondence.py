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
from diffusion_geodesics.correspondence import LEVELS, ROWS, Matches, carry, look, match
from diffusion_geodesics.correspondence.belief import (
    MOST,
    REACH,
    STRENGTH,
    _spread,
    _unlike,
    believe,
)
from diffusion_geodesics.correspondence.places import grid_size, places, seen_at
from diffusion_geodesics.diffusion import Condition, Cost
from diffusion_geodesics.models import FunctionModel, from_denoiser
from diffusion_geodesics.path import GreatArc, Spline, chord

SIZES = [(32, 32), (24, 40), (40, 24)]


def smooth(channels: int, height: int, width: int, seed: int = 0, over: int = 3) -> Tensor:
    """Random values that change within about as many pixels."""
    shape = (1, channels, height + over - 1, width + over - 1)
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    grid = avg_pool2d(noise, over, stride=1)[0]
    return grid / grid.std()


def shifted(big: Tensor, right: int, down: int) -> Tensor:
    """Two windows of one grid: what the first shows lies further right and down in the last."""
    height, width = big.shape[1] - down, big.shape[2] - right
    return torch.stack([big[:, down:, right:], big[:, :height, :width]])


def scene(size: tuple[int, int], right: int, down: int) -> tuple[Tensor, Tensor]:
    """Two pictures and their features, a cell for four pixels, shifted by whole cells."""
    height, width = size[0] // 4 + down, size[1] // 4 + right
    cells = smooth(48, height, width)
    picture = smooth(3, 4 * height, 4 * width, seed=1, over=7)
    pictures = (0.5 + 0.2 * shifted(picture, 4 * right, 4 * down)).clamp(0, 1)
    return pictures, shifted(cells, right, down)


def middle(field: Tensor) -> Tensor:
    """Displacements away from the border, where both images are seen."""
    height, width = field.shape[:2]
    return field[height // 4 : -height // 4, width // 4 : -width // 4].reshape(-1, 2)


# Matching


@pytest.mark.parametrize(
    ("size", "shift"),
    [(SIZES[0], (2, 0)), (SIZES[0], (0, 2)), (SIZES[1], (1, 2)), (SIZES[2], (2, 1))],
)
def test_a_shift_is_found_half_in_each_image(size: tuple[int, int], shift: tuple[int, int]) -> None:
    right, down = shift
    images, cells = scene(size, right, down)
    found = match(images, [cells])
    height, width = found.displacement.shape[:2]
    assert height * size[1] == pytest.approx(width * size[0], rel=0.05)
    pixels = middle(found.displacement) * min(size) / 2
    assert_close(
        pixels, torch.tensor([2.0 * right, 2.0 * down]).expand_as(pixels), rtol=0, atol=0.5
    )


@pytest.mark.parametrize("size", SIZES[:2])
def test_the_same_image_does_not_move(size: tuple[int, int]) -> None:
    images, cells = scene(size, 0, 0)
    assert match(images, [cells]).moved < 0.002


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 100), down=st.integers(0, 2), right=st.integers(0, 2))
def test_exchanging_the_images_turns_the_field(seed: int, down: int, right: int) -> None:
    cells = shifted(smooth(32, 12 + down, 12 + right, seed), right, down)
    images = 0.5 + 0.1 * interpolate(cells[:, :3], size=(32, 32), mode="bilinear")
    forth = match(images, [cells]).displacement
    back = match(images.flip(0), [cells.flip(0)]).displacement
    assert_close(middle(back), -middle(forth), rtol=0, atol=5e-3)


def test_moved_is_the_way_between_the_images_in_edges() -> None:
    assert Matches(torch.tensor([0.3, 0.4]).expand(4, 6, 2)).moved == pytest.approx(0.5)
    images, cells = scene((32, 32), 2, 0)
    assert match(images, [cells]).moved == pytest.approx(8 / 32, rel=0.3), "the border is free"


def test_the_coarse_grid_tells_which_of_two_equal_things_it_is() -> None:
    """Fine features repeat every 8 cells and go 5 to the right: as well 3 to the left."""
    period = smooth(48, 16, 8)
    fine = shifted(torch.cat([period, period, period], 2)[..., :21], 5, 0)
    coarse = avg_pool2d(shifted(smooth(48, 16, 21, seed=1), 5, 0), 2)
    images = torch.full((2, 3, 64, 64), 0.5)
    alone = middle(match(images, [fine]).displacement)[:, 0] * 16
    both = middle(match(images, [coarse, fine]).displacement)[:, 0] * 16
    assert float(alone.median()) == pytest.approx(-3, abs=0.3)
    assert float(both.median()) == pytest.approx(5, abs=0.3)


def test_pixels_place_what_features_find() -> None:
    """Features of large cells, pictures shifted by three quarters of one."""
    picture = smooth(3, 64, 70, seed=1, over=7)
    images = (0.5 + 0.2 * shifted(picture, 6, 0)).clamp(0, 1)
    found = match(images, [avg_pool2d(images - 0.5, 8)])
    pixels = middle(found.displacement) * 32
    assert float((pixels[:, 0] - 3).abs().median()) < 0.3
    assert float(pixels[:, 1].abs().median()) < 0.3


def test_light_does_not_move_things() -> None:
    images, cells = scene((32, 32), 0, 0)
    slope = torch.linspace(-0.15, 0.15, 32)
    lit = torch.stack([images[0] * 0.7 + slope, images[0] * 0.7 - slope])
    assert match(lit, [cells]).moved < 0.004


def test_what_explains_nothing_does_not_move() -> None:
    """A soft edge of light that wanders, and a ring that appears; without the test of what is
    explained they move things by 6e-4 and 13e-4 of an edge in the mean."""
    images, cells = scene((64, 64), 0, 0)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    lit = [images[0] * (0.5 + 0.5 * torch.sigmoid((edge - x) / 3)) for edge in (20, 44)]
    assert match(torch.stack(lit), [cells]).moved < 1e-5
    ring = ((x - 32).hypot(y - 30) - 12).abs() < 1.5
    worn = torch.where(ring, 0.05, images[1])
    assert match(torch.stack([images[0], worn]), [cells]).moved < 4e-4


def test_a_field_may_tear() -> None:
    """The upper half goes right, the lower one left."""
    big = smooth(48, 16, 20)
    first = torch.cat([big[:, :8, 2:18], big[:, 8:, 2:18]], 1)
    last = torch.cat([big[:, :8, 0:16], big[:, 8:, 4:20]], 1)
    images = torch.full((2, 3, 64, 64), 0.5)
    field = match(images, [torch.stack([first, last])]).displacement[..., 0] * 16
    height = len(field)
    inner = slice(height // 4, -height // 4)
    assert float(field[: 3 * height // 8, inner].median()) == pytest.approx(2, abs=0.2)
    assert float(field[-3 * height // 8 :, inner].median()) == pytest.approx(-2, abs=0.2)


def test_it_works_within_inference_and_leaves_its_inputs_alone() -> None:
    images, cells = scene((32, 32), 2, 0)
    kept = images.clone(), cells.clone()
    outside = match(images, [cells]).displacement
    with torch.inference_mode():
        inside = match(images.clone(), [cells.clone()]).displacement
    assert torch.equal(inside, outside)
    assert not outside.requires_grad
    assert torch.equal(images, kept[0])
    assert torch.equal(cells, kept[1])


def test_no_grids_are_refused() -> None:
    images, _ = scene((32, 32), 0, 0)
    with pytest.raises(ValueError, match="at least one"):
        match(images, [])


# Belief propagation against exhaustive search


def test_beliefs_on_a_chain_are_exact() -> None:
    """On a line of nodes min-sum finds the best labels of all, as dynamic programming does."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(2, 4, 1, 12, generator=generator)
    found = believe(features, 1, 12)
    cell, reach = 2.0, max(1, round(2 * REACH / 2.0))
    steps = torch.arange(-reach, reach + 1) * cell / 2
    labels = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(-1, 1, 1, 2)
    alone = _unlike(features, labels, places(1, 12))[:, 0]
    apart = torch.cdist(labels[:, 0, 0], labels[:, 0, 0], p=1) / (cell / 2)
    between = (STRENGTH * apart).clamp_max(MOST)

    def energy(index: Tensor) -> float:
        own = alone.gather(0, index[None])[0].sum()
        return float(own + between[index[:-1], index[1:]].sum())

    best = alone[:, 0]
    chosen = []
    for k in range(1, 12):
        total = best[:, None] + between
        chosen.append(total.argmin(0))
        best = total.amin(0) + alone[:, k]
    way = [best.argmin()]
    for pointer in reversed(chosen):
        way.append(pointer[way[-1]])
    exact = energy(torch.stack(way[::-1]))
    flat = labels[:, 0, 0]
    index = torch.cdist(found[0, :, 0].mT, flat).argmin(1)
    assert energy(index) == pytest.approx(exact, abs=1e-4)
    assert energy(alone.argmin(0)) > exact + 0.01, "neighbours matter"


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), n=st.integers(2, 6))
def test_messages_are_the_least_over_all_labels(seed: int, n: int) -> None:
    belief = torch.rand(n, n, 2, 3, generator=torch.Generator().manual_seed(seed)).double()
    places_of = torch.stack(torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"), -1)
    steps = torch.cdist(*2 * (places_of.reshape(-1, 2).double(),), p=1)
    cost = (STRENGTH * steps).clamp_max(MOST)
    least = (belief.flatten(0, 1)[:, None] + cost[..., None, None]).amin(0)
    least = least.unflatten(0, (n, n))
    assert_close(_spread(belief), least - least.mean((0, 1), keepdim=True))


# Places


def test_places_are_square_whatever_the_grid() -> None:
    assert places(1, 2).tolist() == [[[-1.0, 0.0], [1.0, 0.0]]]
    grid = places(4, 6)
    assert_close(grid[0, 1] - grid[0, 0], torch.tensor([0.5, 0.0]))
    assert_close(grid[1, 0] - grid[0, 0], torch.tensor([0.0, 0.5]))
    assert_close(grid.mean((0, 1)), torch.zeros(2))


@pytest.mark.parametrize("size", [(5, 5), (4, 7), (7, 4)])
def test_a_picture_is_seen_where_its_pixels_are(size: tuple[int, int]) -> None:
    picture = torch.rand(1, 2, *size, generator=torch.Generator().manual_seed(0))
    where = places(*size)[None]
    assert_close(seen_at(picture, where), picture)
    step = torch.tensor([2 / min(size), 0.0])
    assert_close(seen_at(picture, where + step)[..., :-1], picture[..., 1:])
    assert_close(seen_at(picture, where + step)[..., -1], picture[..., -1])
    between = seen_at(picture, where + step / 2)[..., :-1]
    assert_close(between, (picture[..., :-1] + picture[..., 1:]) / 2)


@pytest.mark.parametrize(
    ("image", "cells", "grid"),
    [((128, 128), 16, (16, 16)), ((480, 640), 48, (48, 64)), ((9, 30), 16, (9, 30))],
)
def test_grids_have_the_shape_of_the_image(
    image: tuple[int, int], cells: int, grid: tuple[int, int]
) -> None:
    assert grid_size(*image, cells) == grid


# Carrying


def pictures(height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(2, 3, height, width, generator=generator, dtype=dtype)


def uniform(size: tuple[int, int], way: tuple[float, float], cells: tuple[int, int]) -> Matches:
    """Everything goes the same way from the first image to the last, in pixels."""
    return Matches(torch.tensor(way).expand(*cells, 2) / min(size))


def anywhere(height: int, width: int) -> Matches:
    generator = torch.Generator().manual_seed(5)
    return Matches(0.3 * torch.randn(height, width, 2, generator=generator))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_either_image_is_itself_at_its_end(dtype: torch.dtype, precision: torch.dtype) -> None:
    images = pictures(12, 20, dtype)
    found = Matches(anywhere(6, 10).displacement.to(precision))
    first, last = carry(images, found, torch.tensor([0.0, 0.5, 1.0], dtype=precision))
    assert first.dtype == last.dtype == dtype
    assert first.shape == last.shape == (3, 3, 12, 20)
    assert torch.equal(first[0], images[0])
    assert torch.equal(last[-1], images[1])
    assert not torch.allclose(last[0], images[1])
    for carried in (first, last):
        assert 0 <= float(carried.min()) <= float(carried.max()) <= 1 + 1e-6


def test_near_the_ends_it_is_near_the_images() -> None:
    images, found = pictures(12, 20), anywhere(6, 10)
    first, last = carry(images, found, torch.tensor([1e-7, 1 - 1e-7], dtype=torch.float64))
    assert_close(first[0], images[0], rtol=0, atol=1e-4)
    assert_close(last[1], images[1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (8, 12)])
def test_without_displacement_nothing_moves(size: tuple[int, int]) -> None:
    images = pictures(*size)
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    for carried, image in zip(
        carry(images, uniform(size, (0.0, 0.0), (4, 4)), t), images, strict=True
    ):
        assert_close(carried, image.expand_as(carried), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(24, 24), (16, 28), (28, 16)])
@pytest.mark.parametrize("way", [(8, 0), (0, -4), (4, 8)])
def test_both_pictures_meet_and_fill_in_for_each_other_at_the_border(
    size: tuple[int, int], way: tuple[int, int]
) -> None:
    (height, width), (right, down) = size, way
    first = pictures(height, width)[0]
    last = first.roll((down, right), (1, 2))
    t = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    found = uniform(size, way, (height // 4, width // 4))
    both = carry(torch.stack([first, last]), found, t)
    rows = slice(max(0, down), height + min(0, down))
    columns = slice(max(0, right), width + min(0, right))
    for k, at in enumerate(t.tolist()):
        moved = first.roll((round(at * down), round(at * right)), (1, 2))
        for carried in both[:, k]:
            assert_close(carried[:, rows, columns], moved[:, rows, columns], rtol=0, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(at=st.floats(0.1, 0.9), pull=st.floats(-0.2, 0.2))
def test_a_linear_field_scales_the_picture(at: float, pull: float) -> None:
    """v = k p: what is at p is at p (1 + (2t - 1) k), and was at p (1 - k) and will be at
    p (1 + k)."""
    side = 64
    here = places(side, side).double()
    found = Matches(pull * here)
    wave = torch.tensor([2.0, 1.5]).double()

    def picture(scale: float) -> Tensor:
        return (0.5 + 0.4 * ((here / scale) * wave).sum(-1).sin())[None].expand(3, -1, -1)

    ends = torch.stack([picture(1 - pull), picture(1 + pull)])
    true = picture(1 + (2 * at - 1) * pull)
    inner = slice(side // 4, -side // 4)
    for carried in carry(ends, found, torch.tensor([at], dtype=torch.float64))[:, 0]:
        assert_close(carried[:, inner, inner], true[:, inner, inner], rtol=0, atol=2e-3)


def test_a_constant_picture_stays_constant() -> None:
    images = torch.full((2, 3, 9, 14), 0.3, dtype=torch.float64)
    frames = carry(images, anywhere(5, 7), torch.linspace(0, 1, 9))
    assert_close(frames, torch.full_like(frames, 0.3))


def test_both_directions_give_the_same_frames() -> None:
    images, found = pictures(16, 16), anywhere(4, 4)
    t = torch.tensor([0.2, 0.5], dtype=torch.float64)
    there = carry(images, found, t)
    back = carry(images.flip(0), Matches(-found.displacement), 1 - t)
    assert_close(there, back.flip(0))


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


def test_the_carried_path_is_noised_mixtures_of_both_carried_images() -> None:
    job, clean, ends = noised(function_model())
    found, _ = carriage(job, clean, ends, shell(*ends))
    assert found is not None
    assert found.matches.moved > 0
    schedule = job.denoiser.schedule
    a, sigma = schedule.coefficients(schedule.timestep(job.settings.steps, job.settings.level))
    t = torch.linspace(0, 1, NODES, dtype=torch.float64)
    noise = GreatArc(*((ends - a * clean) / sigma))(t)
    first, last = carry(job.images, found.matches, t)
    mixed = job.codec.encode(torch.lerp(first, last, t[:, None, None, None].to(first)))
    assert_close((found.path(t) - sigma * noise) / a, mixed.double(), rtol=0, atol=1e-4)


def test_without_features_there_is_no_carriage() -> None:
    job, clean, ends = noised(function_model(features=False))
    found, cost = carriage(job, clean, ends, shell(*ends))
    assert found is None
    assert cost == Cost()
