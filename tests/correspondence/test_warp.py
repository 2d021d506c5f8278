"""Images warped along a half-way field."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.correspondence import Matches, warp
from diffusion_geodesics.correspondence.grid import cell_centres


def pictures(height: int, width: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.rand(2, 3, height, width, generator=generator, dtype=dtype)


def uniform(size: tuple[int, int], way: tuple[float, float], cells: tuple[int, int]) -> Matches:
    """Everything goes the same way from the first image to the second, in pixels."""
    return Matches(torch.tensor(way).expand(*cells, 2) / min(size))


def random_field(height: int, width: int) -> Matches:
    generator = torch.Generator().manual_seed(5)
    return Matches(0.3 * torch.randn(height, width, 2, generator=generator))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_either_image_is_itself_at_its_end(dtype: torch.dtype, precision: torch.dtype) -> None:
    images = pictures(12, 20, dtype)
    found = Matches(random_field(6, 10).displacement.to(precision))
    first, second = warp(images, found, torch.tensor([0.0, 0.5, 1.0], dtype=precision))
    assert first.dtype == second.dtype == dtype
    assert first.shape == second.shape == (3, 3, 12, 20)
    assert torch.equal(first[0], images[0])
    assert torch.equal(second[-1], images[1])
    assert not torch.allclose(second[0], images[1])
    for frames in (first, second):
        assert 0 <= float(frames.min()) <= float(frames.max()) <= 1 + 1e-6


def test_frames_near_the_ends_are_near_the_images() -> None:
    images, found = pictures(12, 20), random_field(6, 10)
    first, second = warp(images, found, torch.tensor([1e-7, 1 - 1e-7], dtype=torch.float64))
    assert_close(first[0], images[0], rtol=0, atol=1e-4)
    assert_close(second[1], images[1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(8, 8), (8, 12)])
def test_without_displacement_nothing_moves(size: tuple[int, int]) -> None:
    images = pictures(*size)
    t = torch.linspace(0, 1, 7, dtype=torch.float64)
    still = warp(images, uniform(size, (0.0, 0.0), (4, 4)), t)
    for frames, image in zip(still, images, strict=True):
        assert_close(frames, image.expand_as(frames), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", [(24, 24), (16, 28), (28, 16)])
@pytest.mark.parametrize("way", [(8, 0), (0, -4), (4, 8)])
def test_both_images_coincide_and_complete_each_other_at_the_border(
    size: tuple[int, int], way: tuple[int, int]
) -> None:
    (height, width), (right, down) = size, way
    first = pictures(height, width)[0]
    second = first.roll((down, right), (1, 2))
    t = torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64)
    found = uniform(size, way, (height // 4, width // 4))
    both = warp(torch.stack([first, second]), found, t)
    rows = slice(max(0, down), height + min(0, down))
    columns = slice(max(0, right), width + min(0, right))
    for k, at in enumerate(t.tolist()):
        moved = first.roll((round(at * down), round(at * right)), (1, 2))
        for frames in both[:, k]:
            assert_close(frames[:, rows, columns], moved[:, rows, columns], rtol=0, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(at=st.floats(0.1, 0.9), pull=st.floats(-0.2, 0.2))
def test_a_linear_field_scales_the_image(at: float, pull: float) -> None:
    """v = k p: what is at p lies at p (1 + (2t - 1) k), at p (1 - k) in the first image and at
    p (1 + k) in the second."""
    side = 64
    centres = cell_centres(side, side).double()
    found = Matches(pull * centres)
    wave = torch.tensor([2.0, 1.5]).double()

    def picture(scale: float) -> Tensor:
        return (0.5 + 0.4 * ((centres / scale) * wave).sum(-1).sin())[None].expand(3, -1, -1)

    ends = torch.stack([picture(1 - pull), picture(1 + pull)])
    true = picture(1 + (2 * at - 1) * pull)
    inner = slice(side // 4, -side // 4)
    for frame in warp(ends, found, torch.tensor([at], dtype=torch.float64))[:, 0]:
        assert_close(frame[:, inner, inner], true[:, inner, inner], rtol=0, atol=2e-3)


def test_a_constant_image_stays_constant() -> None:
    images = torch.full((2, 3, 9, 14), 0.3, dtype=torch.float64)
    frames = warp(images, random_field(5, 7), torch.linspace(0, 1, 9))
    assert_close(frames, torch.full_like(frames, 0.3))


def test_both_directions_give_the_same_frames() -> None:
    images, found = pictures(16, 16), random_field(4, 4)
    t = torch.tensor([0.2, 0.5], dtype=torch.float64)
    there = warp(images, found, t)
    back = warp(images.flip(0), Matches(-found.displacement), 1 - t)
    assert_close(there, back.flip(0))


@pytest.mark.parametrize("t", [-0.1, 1.5])
def test_t_outside_the_path_is_refused(t: float) -> None:
    with pytest.raises(ValueError, match=r"expected \[0, 1\]"):
        warp(pictures(4, 4), random_field(2, 2), torch.tensor([0.5, t]))
