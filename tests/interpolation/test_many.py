"""Several films in one batch are the films that each would be alone, to rounding."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.interpolation.interpolate import interpolate
from diffusion_geodesics.interpolation.many import Film, interpolate_many
from diffusion_geodesics.interpolation.settings import InterpolationSettings
from diffusion_geodesics.models import StableDiffusionModel

Images = tuple[Tensor, Tensor, Tensor]
SLERP = {"frames": 3, "steps": 5, "refinements": 1, "size": 32}
QUICK = {**SLERP, "max_steps": 4, "intervals": (4,)}


@pytest.mark.whole
def test_each_is_what_it_is_alone(model: StableDiffusionModel, images: Images) -> None:
    a, b, c = images
    square = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(5))
    settings = InterpolationSettings.of(path="geodesic", allow_atypical=True, **QUICK)
    films = [
        Film((a, b), settings.updated(prompt=("cat", "dog"))),
        Film((square, 1 - square), settings),  # of another size
        Film((b, c, a), settings.updated(prompt="a")),
    ]
    together = interpolate_many(model, films)
    for film, found in zip(films, together, strict=True):
        alone = interpolate(model, film.keyframes, film.settings)
        assert found.settings == alone.settings
        assert torch.equal(found.pictures.images, alone.pictures.images)
        torch.testing.assert_close(found.frames, alone.frames, atol=1e-4, rtol=0)
        assert found.lengths == pytest.approx(alone.lengths, rel=1e-4)
        assert found.keyframe_psnr == pytest.approx(alone.keyframe_psnr, rel=1e-3)
        assert [(s.first, s.last) for s in found.segments] == [
            (s.first, s.last) for s in alone.segments
        ]
        assert [w.code for w in found.warnings] == [w.code for w in alone.warnings]


def test_costs_are_shared_out(model: StableDiffusionModel, images: Images) -> None:
    a, b, c = images
    settings = InterpolationSettings.of(path="slerp", film_only=True, **SLERP)
    films = [Film((a, b), settings), Film((b, c), settings)]
    together = interpolate_many(model, films)
    alone = interpolate(model, (a, b), settings)
    for stage in ("invert", "measure", "decode"):
        each = [found.costs[stage].nfe for found in together]
        assert each == [alone.costs[stage].nfe] * 2
    assert together[0].costs["invert"].batches == alone.costs["invert"].batches


def test_one_that_cannot_be_made_ends_all(model: StableDiffusionModel, images: Images) -> None:
    settings = InterpolationSettings.of(path="slerp", **SLERP)
    films = [Film((images[0], images[1]), settings), Film((images[0], images[0]), settings)]
    with pytest.raises(ValueError, match="identical"):
        interpolate_many(model, films)
