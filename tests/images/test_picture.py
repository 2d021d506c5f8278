"""Pictures on backgrounds."""

from __future__ import annotations

import pytest
import torch

from diffusion_geodesics.images import Picture


def test_transparency_is_laid_on_a_background() -> None:
    red = torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1).expand(3, 16, 16)
    alpha = torch.full((16, 16), 0.2)
    picture = Picture(red, alpha)
    torch.testing.assert_close(picture.on()[:, 0, 0], torch.tensor([1.0, 0.8, 0.8]))
    torch.testing.assert_close(picture.on(0.0)[:, 0, 0], torch.tensor([0.2, 0.0, 0.0]))
    blue = picture.on((0.0, 0.0, 1.0))
    torch.testing.assert_close(blue[:, 0, 0], torch.tensor([0.2, 0.0, 0.8]))
    assert Picture(red).on(0.0) is red


@pytest.mark.parametrize("background", [-0.1, 1.5, float("nan"), (0.0, 0.0, 2.0)])
def test_backgrounds_out_of_range_are_refused(background: float) -> None:
    with pytest.raises(ValueError, match="background"):
        Picture(torch.zeros(3, 16, 16)).on(background)
