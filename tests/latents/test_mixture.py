"""Mixtures of warped images, and where the network's sample takes their place."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.diffusion import Condition
from diffusion_geodesics.latents.mixture import (
    NODES,
    Mixed,
    Mixture,
    sampled_share,
    weights_nfe,
)
from diffusion_geodesics.models import FunctionModel, from_denoiser
from diffusion_geodesics.path import Spline

SIZE = (16, 24)
DIM = 3 * 16 * 24
T = torch.linspace(0, 1, NODES, dtype=torch.float64)


def of_narrow_data(calls: list[int] | None = None) -> FunctionModel:
    """A model of N(0, 1/16) data, whose denoiser's expected error grows with the square of z."""

    def mean(x: Tensor, sigma: float) -> Tensor:
        if calls is not None:
            calls.append(len(x))
        return x / 16 / (1 / 16 + sigma**2)

    return from_denoiser(mean, (3, *SIZE))


def share_of(clean: Tensor, excess: float = 0.1, seed: int = 0) -> Tensor:
    model = of_narrow_data()
    return sampled_share(
        model.denoiser(*SIZE),
        model.codec(*SIZE),
        clean,
        _conditions(model, len(clean)),
        steps=10,
        excess=excess,
        seed=seed,
    )


def _conditions(model: FunctionModel, count: int) -> Condition:
    return Condition.stack([model.encode_prompt("")] * count)


def improbable() -> Tensor:
    """Latents of which a patch is far from the data half-way, and nowhere else."""
    base = 0.1 * torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1)).double()
    clean = base.expand(NODES, -1, -1, -1).clone()
    clean[2, :, :4, :4] += 3.0
    return clean.flatten(1)


def test_a_patch_that_is_improbable_is_sampled_and_nothing_else() -> None:
    share = share_of(improbable())
    assert share.shape == (NODES, *SIZE)
    assert bool((share[[0, 1, 3, 4]] == 0).all()), "where the mixture is that of the images"
    assert bool((share[2, :4, :4] == 1).all())
    assert bool((share[2, :, 12:] == 0).all()), "beyond the boxes about the patch"


def test_what_is_as_probable_as_both_images_stays() -> None:
    clean = improbable()
    clean[2] = clean[0]
    assert bool((share_of(clean) == 0).all())


def test_the_share_falls_with_the_excess_that_is_tolerated() -> None:
    small, large = share_of(improbable(), 20.0), share_of(improbable(), 40.0)
    inner = (small > 0) & (small < 1)
    assert bool(inner.any())
    assert_close(large[inner], small[inner] / 2)


def test_the_other_way_round_it_is_the_same() -> None:
    clean = improbable()
    clean[4] += 0.05
    assert_close(share_of(clean.flip(0)), share_of(clean).flip(0))


def test_it_costs_one_evaluation_a_node_and_level() -> None:
    calls: list[int] = []
    model = of_narrow_data(calls)
    sampled_share(
        model.denoiser(*SIZE),
        model.codec(*SIZE),
        improbable(),
        _conditions(model, NODES),
        steps=10,
        excess=0.1,
    )
    assert sum(calls) == weights_nfe(1) == 10


def mixture() -> Mixture:
    generator = torch.Generator().manual_seed(2)
    clean = torch.randn(9, DIM, generator=generator, dtype=torch.float64)
    weight = torch.rand(NODES, *SIZE, generator=generator, dtype=torch.float64)
    weight[[0, -1]] = 0.0
    weight[2] = 1.0
    return Mixture(Spline(clean), weight)


@given(t=st.floats(0, 1))
def test_weights_are_linear_between_the_nodes(t: float) -> None:
    found = mixture().weight_at(torch.tensor([t], dtype=torch.float64))[0]
    place = min(int(t * (NODES - 1)), NODES - 2)
    share = t * (NODES - 1) - place
    nodes = mixture().weight
    assert_close(found, (1 - share) * nodes[place] + share * nodes[place + 1])


def test_the_images_themselves_are_shown_at_the_ends_and_samples_where_the_share_is_one() -> None:
    sampled = torch.randn(3, DIM, generator=torch.Generator().manual_seed(3)).double()
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    at = mixture().at(t)
    assert at.needed.tolist() == [False, True, False]
    shown = at.settled(sampled)
    assert_close(shown[[0, 2]], mixture().clean(t[[0, 2]]))
    assert_close(shown[1], sampled[1])


def test_the_sampled_share_is_the_mean_over_path_and_image() -> None:
    t = torch.linspace(0, 1, 2001, dtype=torch.float64)
    weight = mixture().weight_at(t).mean((1, 2))
    assert mixture().sampled == pytest.approx(float(torch.trapezoid(weight, t)), abs=1e-6)


def test_parts_are_joined_in_order() -> None:
    t = torch.tensor([0.2, 0.7], dtype=torch.float64)
    joined = Mixed.cat([mixture().at(t[:1]), mixture().at(t[1:])])
    assert_close(joined.clean, mixture().at(t).clean)
    assert_close(joined.share, mixture().at(t).share)


@pytest.mark.parametrize("seed", range(3))
def test_the_noise_is_that_of_the_seed(seed: int) -> None:
    assert torch.equal(share_of(improbable(), 20.0, seed), share_of(improbable(), 20.0, seed))
    assert not torch.equal(
        share_of(improbable(), 20.0, seed), share_of(improbable(), 20.0, seed + 1)
    )
