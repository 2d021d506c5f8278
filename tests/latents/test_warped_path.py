"""The path that follows correspondences between two images."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate
from torch.testing import assert_close

from diffusion_geodesics.correspondence import morph
from diffusion_geodesics.latents.coordinates import Ambient, Coordinates, shell
from diffusion_geodesics.latents.encode import Noised, encode, invert
from diffusion_geodesics.latents.pictures import load_pictures
from diffusion_geodesics.latents.settings import Framing, Inversion, Prompts
from diffusion_geodesics.latents.warped_path import NODES, warped_paths
from diffusion_geodesics.models import FunctionModel
from diffusion_geodesics.path import GreatArc, chord
from diffusion_geodesics.runtime.run import Run
from tests.correspondence.scenes import function_model

T = torch.linspace(0, 1, NODES, dtype=torch.float64)
PAIR = [(0, 1)]


def noised(run: Run | None = None, *, model: FunctionModel | None = None, count: int = 2) -> Noised:
    noise = torch.rand(count, 3, 4, 6, generator=torch.Generator().manual_seed(4))
    images = interpolate(noise, size=(16, 24), mode="bicubic").clamp(0, 1)
    model, run = model or function_model(), run or Run()
    pictures = load_pictures(model, list(images), Framing(size=(16, 24)))
    encoded = encode(run, model, pictures, Prompts())
    found = invert(run, encoded, Inversion(level=0.4, steps=6, refinements=0))
    noise = torch.randn(found.latents.shape, generator=torch.Generator().manual_seed(6)).double()
    return replace(found, latents=found.level.a * encoded.clean + found.level.sigma * noise)


def still(here: Noised, pairs: list[tuple[int, int]], flat: bool = False) -> Coordinates:
    ends = here.latents[torch.tensor(pairs).T]
    return Ambient() if flat else shell(ends[0], ends[1])


def between(here: Noised, pair: tuple[int, int]) -> Tensor:
    """Latents along the warped path, by its formula: both images warped and mixed, encoded, and
    given the noise of the ends."""
    found = warped_paths(Run(), here, [pair], still(here, [pair]), 0)
    assert found is not None
    assert found.matches[0].moved > 0
    index, level = list(pair), here.level
    ends, clean = here.latents[index], here.encoded.clean[index]
    noise = (ends - level.a * clean) / level.sigma
    mixed = morph(here.encoded.images[index], found.matches[0], T)
    return level.a * here.encoded.codec.encode(mixed).double() + level.sigma * GreatArc(
        noise[0], noise[1]
    )(T)


@pytest.mark.parametrize("flat", [False, True])
def test_the_chord_of_the_moving_frame_is_the_path_of_warped_mixtures(flat: bool) -> None:
    here = noised()
    frame_of = still(here, PAIR, flat)
    found = warped_paths(Run(), here, PAIR, frame_of, 0)
    assert found is not None
    ends = here.latents[:, None]
    corners = found.frame.coordinates(T[[0, -1]], ends)
    assert_close(corners, frame_of.coordinates(T[[0, -1]], ends))
    straight = chord(corners[0], corners[1], found.frame.manifold)
    x = found.frame.latent(T, straight(T))
    assert_close(x[[0, -1]], ends, rtol=1e-9, atol=1e-9)
    assert_close(x[:, 0], between(here, (0, 1)), rtol=0, atol=1e-5)


def test_several_pairs_are_warped_as_one_by_one() -> None:
    here = noised(count=3)
    pairs = [(0, 1), (1, 2)]
    together = warped_paths(Run(), here, pairs, still(here, pairs), 0)
    assert together is not None
    for k, pair in enumerate(pairs):
        alone = warped_paths(Run(), here, [pair], still(here, [pair]), 0)
        assert alone is not None
        assert_close(
            together.frame.select(k).offset(T), alone.frame.select(0).offset(T), atol=1e-6, rtol=0
        )
        assert_close(together.matches[k].displacement, alone.matches[0].displacement)


def test_mixtures_are_the_clean_latents_of_the_path() -> None:
    run = Run()
    here = noised(run)
    found = warped_paths(run, here, PAIR, still(here, PAIR), 0, excess=0.1)
    plain = warped_paths(Run(), here, PAIR, still(here, PAIR), 0)
    assert found is not None
    assert plain is not None
    assert plain.mixtures is None
    assert found.mixtures is not None
    assert run.costs["match"].nfe == 24 + 10
    assert_close(found.frame.offset(T), plain.frame.offset(T))
    level, ends = here.level, here.latents
    noise = (ends - level.a * here.encoded.clean) / level.sigma
    clean = (between(here, (0, 1)) - level.sigma * GreatArc(noise[0], noise[1])(T)) / level.a
    assert_close(found.mixtures[0].clean(T), clean, rtol=0, atol=1e-5)
    assert_close(found.mixtures[0].clean(T[[0, -1]]), here.encoded.clean)


def test_it_costs_twelve_evaluations_an_image_and_as_much_where_it_is_known() -> None:
    run = Run()
    here = noised(run)
    found = warped_paths(run, here, PAIR, still(here, PAIR), 0)
    assert run.costs["match"].nfe == 24
    again = Run()
    assert warped_paths(again, here, PAIR, still(here, PAIR), 0) is found
    assert again.costs["match"] == run.costs["match"], "so that methods can be compared"
    other = Run()
    assert warped_paths(other, here, PAIR, still(here, PAIR), 1) is not found


def test_without_features_there_is_no_warped_path() -> None:
    run = Run()
    here = noised(run, model=function_model(features=False))
    assert warped_paths(run, here, PAIR, still(here, PAIR), 0) is None
    assert run.costs["match"].nfe == 0
