"""Belief propagation against exhaustive search."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from diffusion_geodesics.correspondence import BeliefPropagation
from diffusion_geodesics.correspondence.grid import cell_centres

SEARCH = BeliefPropagation()


def chain_minimum(alone: Tensor, between: Tensor) -> Tensor:
    """Best labels of a chain by dynamic programming, from costs (labels, nodes)."""
    best, pointers = alone[:, 0], []
    for k in range(1, alone.shape[1]):
        total = best[:, None] + between
        pointers.append(total.argmin(0))
        best = total.amin(0) + alone[:, k]
    labels = [best.argmin()]
    for pointer in reversed(pointers):
        labels.append(pointer[labels[-1]])
    return torch.stack(labels[::-1])


def test_the_result_on_a_chain_is_the_exact_minimum() -> None:
    features = torch.randn(2, 4, 1, 12, generator=torch.Generator().manual_seed(0))
    found = SEARCH.solve(features[None], 1, 12)
    grid = SEARCH.labels(1, 12)
    alone = SEARCH.unary_cost(features, grid, cell_centres(1, 12)).flatten(0, 1)[:, 0]
    labels = grid.flatten(0, 1)
    apart = torch.cdist(labels, labels, p=1)  # half a cell is 1
    between = (SEARCH.smoothness * apart).clamp_max(SEARCH.max_smoothness)

    def energy(index: Tensor) -> float:
        own = alone.gather(0, index[None])[0].sum()
        return float(own + between[index[:-1], index[1:]].sum())

    exact = energy(chain_minimum(alone, between))
    index = torch.cdist(found[0, :, 0].mT, labels).argmin(1)
    assert energy(index) == pytest.approx(exact, abs=1e-4)
    assert energy(alone.argmin(0)) > exact + 0.01, "neighbours matter"


@settings(max_examples=20)
@given(seed=st.integers(0, 1000), n=st.integers(2, 6))
def test_the_distance_transform_is_the_minimum_over_all_labels(seed: int, n: int) -> None:
    belief = torch.rand(n, n, 1, 2, 3, generator=torch.Generator().manual_seed(seed))
    labels = torch.stack(torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij"), -1)
    labels = labels.reshape(-1, 2).float()
    steps = torch.cdist(labels, labels, p=1)
    cost = (SEARCH.smoothness * steps).clamp_max(SEARCH.max_smoothness)
    least = (belief.flatten(0, 1)[:, None] + cost[..., None, None, None]).amin(0)
    least = least.unflatten(0, (n, n))
    assert_close(SEARCH.transform(belief), least - least.mean((0, 1), keepdim=True))


def test_pairs_do_not_influence_each_other() -> None:
    features = torch.randn(3, 2, 8, 6, 9, generator=torch.Generator().manual_seed(1))
    together = SEARCH.solve(features, 6, 9)
    alone = [SEARCH.solve(features[k : k + 1], 6, 9)[0] for k in range(3)]
    assert torch.equal(together, torch.stack(alone))
    assert not torch.equal(together[0], together[1])


def test_labels_reach_the_largest_displacement() -> None:
    labels = BeliefPropagation(max_displacement=0.5).labels(8, 16)
    assert labels.shape == (9, 9, 2)
    assert_close(labels[0, -1], torch.tensor([0.5, -0.5]))
    assert_close(labels[1, 1] - labels[0, 0], torch.tensor([0.125, 0.125]))
