"""Correspondences of images by their features and pixels."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import avg_pool2d, interpolate
from torch.testing import assert_close

from diffusion_geodesics.correspondence import BeliefPropagation, FieldDescent, Matcher, Matches
from tests.correspondence.scenes import middle, scene, shifted, smooth

SIZES = [(32, 32), (24, 40), (40, 24)]
MATCHER = Matcher()


@pytest.mark.parametrize(
    ("size", "shift"),
    [(SIZES[0], (2, 0)), (SIZES[0], (0, 2)), (SIZES[1], (1, 2)), (SIZES[2], (2, 1))],
)
def test_half_of_a_shift_is_found_in_either_image(
    size: tuple[int, int], shift: tuple[int, int]
) -> None:
    right, down = shift
    images, cells = scene(size, right, down)
    found = MATCHER.match(images, [cells])
    height, width = found.displacement.shape[:2]
    assert height * size[1] == pytest.approx(width * size[0], rel=0.05)
    pixels = middle(found.displacement) * min(size) / 2
    expected = torch.tensor([2.0 * right, 2.0 * down]).expand_as(pixels)
    assert_close(pixels, expected, rtol=0, atol=0.5)


@pytest.mark.parametrize("size", SIZES[:2])
def test_identical_images_do_not_move(size: tuple[int, int]) -> None:
    images, cells = scene(size, 0, 0)
    assert MATCHER.match(images, [cells]).moved < 0.002


@settings(max_examples=3, deadline=None)
@given(seed=st.integers(0, 100), down=st.integers(0, 2), right=st.integers(0, 2))
def test_exchanging_the_images_reverses_the_field(seed: int, down: int, right: int) -> None:
    cells = shifted(smooth(32, 12 + down, 12 + right, seed), right, down)
    images = 0.5 + 0.1 * interpolate(cells[:, :3], size=(32, 32), mode="bilinear")
    forth = MATCHER.match(images, [cells]).displacement
    back = MATCHER.match(images.flip(0), [cells.flip(0)]).displacement
    assert_close(middle(back), -middle(forth), rtol=0, atol=5e-3)


def test_moved_is_the_mean_distance_in_edges() -> None:
    assert Matches(torch.tensor([0.3, 0.4]).expand(4, 6, 2)).moved == pytest.approx(0.5)
    images, cells = scene((32, 32), 2, 0)
    found = MATCHER.match(images, [cells])
    assert found.moved == pytest.approx(8 / 32, rel=0.3), "displacements at the border are free"


def test_pairs_of_a_batch_are_matched_as_if_alone() -> None:
    scenes = [scene((32, 40), right, down, seed) for right, down, seed in ((2, 0, 0), (0, 1, 5))]
    scenes += [scene((32, 40), 1, 1, 9)]
    images = torch.stack([images for images, _ in scenes])
    cells = torch.stack([cells for _, cells in scenes])
    coarse = avg_pool2d(cells.flatten(0, 1), 2).unflatten(0, (3, 2))
    quick = Matcher(search=BeliefPropagation(iterations=5), descent=FieldDescent(steps=10))
    for matcher in (quick, replace(quick, max_batch=2)):
        together = matcher.match_pairs(images, [coarse, cells])
        assert len(together) == 3
        for k, found in enumerate(together):
            alone = matcher.match(images[k], [coarse[k], cells[k]])
            assert_close(found.displacement, alone.displacement, rtol=0, atol=1e-5)
    assert together[0].moved > 1.2 * together[1].moved


def test_the_coarse_grid_resolves_a_repetition() -> None:
    """Fine features repeat every 8 cells and go 5 to the right: as well 3 to the left."""
    period = smooth(48, 16, 8)
    fine = shifted(torch.cat([period, period, period], 2)[..., :21], 5, 0)
    coarse = avg_pool2d(shifted(smooth(48, 16, 21, seed=1), 5, 0), 2)
    images = torch.full((2, 3, 64, 64), 0.5)
    alone = middle(MATCHER.match(images, [fine]).displacement)[:, 0] * 16
    both = middle(MATCHER.match(images, [coarse, fine]).displacement)[:, 0] * 16
    assert float(alone.median()) == pytest.approx(-3, abs=0.3)
    assert float(both.median()) == pytest.approx(5, abs=0.3)


def test_pixels_localise_what_features_find() -> None:
    """Features of large cells, pictures shifted by three quarters of one."""
    picture = smooth(3, 64, 70, seed=1, over=7)
    images = (0.5 + 0.2 * shifted(picture, 6, 0)).clamp(0, 1)
    found = MATCHER.match(images, [avg_pool2d(images - 0.5, 8)])
    pixels = middle(found.displacement) * 32
    assert float((pixels[:, 0] - 3).abs().median()) < 0.3
    assert float(pixels[:, 1].abs().median()) < 0.3


def test_slow_changes_of_light_do_not_move_things() -> None:
    images, cells = scene((32, 32), 0, 0)
    slope = torch.linspace(-0.15, 0.15, 32)
    lit = torch.stack([images[0] * 0.7 + slope, images[0] * 0.7 - slope])
    assert MATCHER.match(lit, [cells]).moved < 0.004


def test_what_has_no_counterpart_does_not_move() -> None:
    """A soft edge of light that wanders, and a ring that appears; without the gate they move things
    by 6e-4 and 13e-4 of an edge in the mean."""
    images, cells = scene((64, 64), 0, 0)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    lit = [images[0] * (0.5 + 0.5 * torch.sigmoid((edge - x) / 3)) for edge in (20, 44)]
    assert MATCHER.match(torch.stack(lit), [cells]).moved < 1e-5
    ring = ((x - 32).hypot(y - 30) - 12).abs() < 1.5
    worn = torch.where(ring, 0.05, images[1])
    assert MATCHER.match(torch.stack([images[0], worn]), [cells]).moved < 4e-4


def test_a_field_may_be_discontinuous() -> None:
    """The upper half goes right, the lower one left."""
    big = smooth(48, 16, 20)
    first = torch.cat([big[:, :8, 2:18], big[:, 8:, 2:18]], 1)
    second = torch.cat([big[:, :8, 0:16], big[:, 8:, 4:20]], 1)
    images = torch.full((2, 3, 64, 64), 0.5)
    found = MATCHER.match(images, [torch.stack([first, second])])
    field = found.displacement[..., 0] * 16
    height = len(field)
    inner = slice(height // 4, -height // 4)
    assert float(field[: 3 * height // 8, inner].median()) == pytest.approx(2, abs=0.2)
    assert float(field[-3 * height // 8 :, inner].median()) == pytest.approx(-2, abs=0.2)


def test_it_works_in_inference_mode_and_leaves_its_arguments_alone() -> None:
    images, cells = scene((32, 32), 2, 0)
    kept = images.clone(), cells.clone()
    outside = MATCHER.match(images, [cells]).displacement
    with torch.inference_mode():
        inside = MATCHER.match(images.clone(), [cells.clone()]).displacement
    assert torch.equal(inside, outside)
    assert not outside.requires_grad
    assert torch.equal(images, kept[0])
    assert torch.equal(cells, kept[1])


def test_missing_or_foreign_features_are_refused() -> None:
    images, cells = scene((32, 32), 0, 0)
    with pytest.raises(ValueError, match="at least one"):
        MATCHER.match(images, [])
    with pytest.raises(ValueError, match="must agree"):
        MATCHER.match_pairs(images[None], [torch.stack([cells, cells])])
