"""How far metrics agree on neighbours."""

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.image_sets.agreement import rank_agreement
from diffusion_geodesics.image_sets.settings import MetricName

PLACES = torch.tensor([0.0, 1.0, 3.0, 7.0], dtype=torch.float64)
APART = (PLACES[:, None] - PLACES).abs()


def agreement(other: Tensor) -> tuple[float, int]:
    (found,) = rank_agreement({MetricName.DENSITY: APART, MetricName.EUCLIDEAN: other})
    assert (found.first, found.second) == (MetricName.DENSITY, MetricName.EUCLIDEAN)
    return found.tau, found.same_nearest


def test_the_same_order_and_the_opposite_one() -> None:
    assert agreement(APART.square()) == (1.0, 4)
    tau, same = agreement(10 - APART)
    assert (tau, same) == (-1.0, 0)


def test_one_pair_out_of_order() -> None:
    """The first image has its two nearest exchanged: one of its three pairs is discordant."""
    other = APART.clone()
    other[0, 1], other[0, 2] = 3.5, 1.0
    tau, same = agreement(other)
    assert tau == pytest.approx((1 / 3 + 3) / 4)
    assert same == 3


def test_pairs_without_a_distance_come_last() -> None:
    other = APART.clone()
    other[0, 3] = other[3, 0] = torch.inf
    assert agreement(other)[1] == 4


def test_two_images_have_no_order() -> None:
    assert rank_agreement(dict.fromkeys(list(MetricName)[:2], APART[:2, :2])) == ()
