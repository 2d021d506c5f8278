"""Embeddings: optimised ones find what an exact denoiser knows; curves between them."""

from __future__ import annotations

import pytest
import torch

from diffusion_geodesics.diffusion import (
    Condition,
    ConditionArc,
    EpsilonPrediction,
    Prediction,
    TextInversion,
    VelocityPrediction,
    invert_text,
)
from tests.conformance.denoiser import exact_denoiser, shifts


@pytest.mark.parametrize("prediction", [EpsilonPrediction(), VelocityPrediction()])
def test_the_embedding_that_explains_an_image_is_found(prediction: Prediction) -> None:
    denoiser, data, network = exact_denoiser(prediction)
    wanted = torch.tensor([[2.0], [-1.0]], dtype=torch.float64)
    x0 = data.mean + wanted.expand(2, 5)
    method = TextInversion(steps=150, rate=0.05, check_every=30)
    found, cost, trained = invert_text(denoiser, x0, shifts(0.0), method)
    assert cost.rows == sum(network.seen) <= 2 * method.most_rows
    assert cost.calls == len(network.seen)
    assert 0 < trained <= 2 * method.steps
    for condition, shift in zip(found, wanted, strict=True):
        assert condition.rows == 1
        assert not condition.parts[0].requires_grad
        off = (condition.parts[0][0, 0].double() - shift).abs()
        assert float(off.max()) < 0.5 * float(shift.abs())


def test_it_stops_early_where_nothing_improves_and_never_worsens() -> None:
    denoiser, data, _ = exact_denoiser(EpsilonPrediction())
    x0 = data.mean.expand(1, 5).clone()
    method = TextInversion(steps=200, rate=1e-9, check_every=5, patience=2)
    found, cost, trained = invert_text(denoiser, x0, shifts(0.0), method)
    assert trained == 10
    assert cost.rows < method.most_rows
    torch.testing.assert_close(found[0].parts[0].double(), shifts(0.0).parts[0])
    assert TextInversion.published().most_rows == 500
    with pytest.raises(ValueError, match="positive"):
        TextInversion(steps=0)


def test_arcs_of_embeddings_keep_their_ends_and_their_norm() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (
        Condition(
            (torch.nn.functional.normalize(torch.randn(1, 3, 8, generator=generator), dim=-1),)
        )
        for _ in range(2)
    )
    arc = ConditionArc(a, b).at(torch.tensor([0.0, 0.3, 1.0]))
    assert torch.equal(arc.parts[0][0], a.parts[0][0])
    assert torch.equal(arc.parts[0][2], b.parts[0][0])
    torch.testing.assert_close(arc.parts[0].norm(dim=-1), torch.ones(3, 3))
    same = ConditionArc(a, a).at(torch.tensor([0.4]))
    torch.testing.assert_close(same.parts[0], a.parts[0])
    with pytest.raises(ValueError, match="one row each"):
        ConditionArc(shifts(1.0, 2.0), shifts(1.0))
