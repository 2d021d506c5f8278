"""The order in which pixels change, where something grows over what stays."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.correspondence import Matches, Regions, morph
from diffusion_geodesics.correspondence.fronts import Fronts
from diffusion_geodesics.correspondence.grid import cell_centres

RED, BLUE, GREEN = (0.8, 0.2, 0.1), (0.2, 0.3, 0.9), (0.2, 0.8, 0.2)
STILL = Matches(torch.zeros(8, 8, 2))
HALF = torch.tensor([0.5])


def plain(colour: tuple[float, float, float] = BLUE, size: tuple[int, int] = (64, 64)) -> Tensor:
    return torch.tensor(colour)[:, None, None].expand(3, *size).clone()


def bar(length: float, size: tuple[int, int] = (64, 64)) -> Tensor:
    """A red bar that hangs from above, over a share of the height."""
    height, width = size
    image = plain(size=size)
    red = torch.tensor(RED)[:, None, None]
    image[:, : round(length * height), round(0.4 * width) : round(0.6 * width)] = red
    return image


def shares(first: Tensor, last: Tensor, t: Tensor, fronts: Fronts | None = None) -> Tensor:
    order = (fronts or Fronts()).order(first, last)
    points = cell_centres(*first.shape[-2:])[None].expand(len(t), -1, -1, -1)
    return order.share(points, t)[:, 0]


def fades(first: Tensor, last: Tensor) -> bool:
    return bool((shares(first, last, HALF) == 0.5).all())


@pytest.mark.parametrize("size", [(64, 64), (64, 96), (256, 256)])
def test_what_grows_is_as_long_as_the_time_says(size: tuple[int, int]) -> None:
    t = torch.tensor([0.25, 0.5, 0.75])
    column = shares(bar(0.25, size), bar(0.6, size), t)[:, :, size[1] // 2]
    rows = (torch.arange(size[0]) + 0.5) / size[0]
    for at, share in zip(t.tolist(), column, strict=True):
        changed = rows[(share > 0.5) & (rows > 0.25) & (rows < 0.6)]
        assert float(changed.max()) == pytest.approx(0.25 + 0.35 * at, abs=0.035)
        soft = (share > 0.05) & (share < 0.95) & (rows > 0.28) & (rows < 0.57)
        assert float(soft.float().mean()) < 0.08, "it is there or not"


def test_what_grows_one_way_retreats_the_other() -> None:
    t = torch.linspace(0, 1, 9)
    grown = shares(bar(0.25), bar(0.6), t)
    assert_close(grown, 1 - shares(bar(0.6), bar(0.25), 1 - t), rtol=0, atol=1e-5)


def test_the_film_begins_and_ends_with_the_images() -> None:
    images = torch.stack([bar(0.25), bar(0.6)])
    frames = morph(images, STILL, torch.tensor([0.0, 1.0]))
    assert_close(frames, images, rtol=0, atol=0.05)
    assert float((frames - images).abs().mean()) < 1e-4


def test_a_frame_shows_either_image_and_no_blend() -> None:
    images = torch.stack([bar(0.25), bar(0.6)])
    frame = morph(images, STILL, HALF)[0]
    blends = (frame - images).abs().amax(1).amin(0) > 0.1
    assert float(blends.float().mean()) < 0.01
    assert float(((images[0] - images[1]).abs().amax(0) > 0.1).float().mean()) > 0.05


def test_an_order_moves_with_what_is_matched() -> None:
    images = torch.stack([bar(0.25), bar(0.6).roll(8, dims=-1)])
    way = torch.tensor([8.0, 0.0]) / 64
    frames = morph(images, Matches(way.expand(8, 8, 2)), HALF)
    still = morph(torch.stack([bar(0.25), bar(0.6)]), STILL, HALF)
    assert_close(frames[:, :, :, 8:-8], still.roll(4, dims=-1)[:, :, :, 8:-8], rtol=0, atol=0.02)


def test_light_is_no_front() -> None:
    ramp = torch.linspace(0.3, 1.0, 64)
    assert fades(plain(RED) * ramp, plain(RED) * ramp.flip(0))


def test_what_is_thin_fades() -> None:
    line = plain()
    line[:, :, 30:33] = torch.tensor(RED)[:, None, None]
    assert fades(plain(), line)


def test_what_has_no_outline_fades() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    bump = torch.exp(-(((y - 32).hypot(x - 20) / 16) ** 2))
    assert fades(plain(), torch.lerp(plain(), plain(GREEN), bump))


def test_where_everything_differs_all_fades() -> None:
    assert fades(plain(BLUE), plain(GREEN))


def test_images_of_one_channel_fade() -> None:
    assert fades(bar(0.25)[:1], bar(0.6)[:1])


def test_equal_images_fade() -> None:
    assert fades(bar(0.25), bar(0.25))


def test_what_appears_in_the_midst_uncovers_from_within() -> None:
    """It was seen nowhere that it could spread from, but what it takes the place of retreats."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    radius = (y - 32).hypot(x - 32)
    disc = torch.where(radius < 14, torch.tensor(GREEN)[:, None, None], plain())
    share = shares(plain(), disc, HALF)[0]
    assert float(share[radius < 4].min()) > 0.95
    assert float(share[(radius > 11) & (radius < 13)].max()) < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frames_have_the_precision_of_the_images(dtype: torch.dtype) -> None:
    images = torch.stack([bar(0.25), bar(0.6)]).to(dtype)
    frames = morph(images, STILL, torch.linspace(0, 1, 6, dtype=torch.float64))
    assert frames.dtype == dtype
    assert frames.shape == (6, 3, 64, 64)


def test_frames_are_the_same_one_by_one() -> None:
    images, t = torch.stack([bar(0.25), bar(0.6)]), torch.linspace(0, 1, 6)
    assert_close(morph(images, STILL, t), torch.cat([morph(images, STILL, x[None]) for x in t]))


def test_times_outside_of_the_film_are_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        morph(torch.stack([bar(0.25), bar(0.6)]), STILL, torch.tensor([1.2]))


def head(chin: int = 40) -> Tensor:
    """A green head whose red hair is seen above of it, over blue."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    image = plain()
    image[:, (y < 20) & ((x - 32).abs() < 18)] = torch.tensor(RED)[:, None]
    image[:, (y >= 12) & (y < chin) & ((x - 32).abs() < 12)] = torch.tensor(GREEN)[:, None]
    return image


def long_haired() -> Tensor:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    image = head()
    behind = (y < 54) & ((x - 32).abs() < 18) & ~((y >= 12) & (y < 40) & ((x - 32).abs() < 12))
    image[:, behind] = torch.tensor(RED)[:, None]
    return image


def test_what_grows_comes_from_behind_what_hides_it() -> None:
    """Hair that gets longer behind a head is seen below the chin before it has all its length."""
    share = shares(head(), long_haired(), HALF)[0]
    assert float(share[41:44, 30:34].min()) > 0.9
    assert float(share[51:54, 16:48].max()) < 0.1
    assert float(share[22:30, 16:18].min()) > 0.9


def test_no_front_where_what_is_around_differs() -> None:
    """As beside a head that turns, where all that differs is misplaced."""
    stripes = torch.where((torch.arange(64) // 2) % 2 == 0, 1.0, 0.6)
    first, last = bar(0.25), bar(0.6) * stripes[:, None]
    assert not fades(bar(0.25), bar(0.6))
    assert fades(first, last)
    anyhow = Fronts(regions=Regions(same=1.0))
    assert not bool((shares(first, last, HALF, anyhow) == 0.5).all())
