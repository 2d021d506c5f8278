"""Text inversion: of an exact denoiser the best embedding is known."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from diffusion_geodesics.diffusion import (
    Condition,
    EpsilonPrediction,
    NonFiniteError,
    Prediction,
    TextInversion,
    VelocityPrediction,
    invert_text,
)
from diffusion_geodesics.runtime.cost import Meter
from tests.conformance.denoiser import exact_denoiser, shifts
from tests.diffusion.networks import FunctionNetwork


@pytest.mark.parametrize(
    ("prediction", "check_every", "each", "mean"),
    [(EpsilonPrediction(), 0, 0.5, 0.05), (VelocityPrediction(), 30, 0.7, 0.2)],
    ids=["epsilon", "velocity, checked"],
)
def test_the_embedding_that_explains_an_image_is_found(
    prediction: Prediction, check_every: int, each: float, mean: float
) -> None:
    """The mean of the data moves with the embedding; the best one moves it to the image. Those
    that are chosen on the few noises of a check are off by what these say of them."""
    denoiser, data, network = exact_denoiser(prediction)
    meter = Meter()
    wanted = torch.tensor([2.0, -1.0] * 8, dtype=torch.float64)
    x0 = data.mean + wanted[:, None].expand(16, 5)
    method = TextInversion(steps=150, rate=0.05, check_every=check_every)
    found = invert_text(denoiser.metered(meter), x0, shifts(0.0), method)
    counts = meter.read()
    assert counts.nfe == sum(network.seen) <= 16 * method.most_nfe
    assert counts.batches == len(network.seen)
    assert 0 < counts.backward <= 16 * method.steps
    assert all(c.rows == 1 and not c.parts[0].requires_grad for c in found)
    off = Condition.stack(found).parts[0][:, 0].double() / wanted[:, None] - 1
    assert float(off.abs().max()) < each
    assert float(off[::2].mean().abs()) < mean
    assert float(off[1::2].mean().abs()) < mean


def test_it_stops_early_where_nothing_improves_and_never_worsens() -> None:
    denoiser, data, _ = exact_denoiser(EpsilonPrediction())
    meter = Meter()
    x0 = data.mean.expand(1, 5).clone()
    method = TextInversion(steps=200, rate=1e-9, check_every=5, patience=2)
    found = invert_text(denoiser.metered(meter), x0, shifts(0.0), method)
    assert meter.read().backward == 10
    assert meter.read().nfe == 10 + 3 * method.checks < method.most_nfe
    torch.testing.assert_close(found[0].parts[0].double(), shifts(0.0).parts[0])


def test_without_checks_all_steps_are_taken_and_the_last_embedding_is_kept() -> None:
    denoiser, data, network = exact_denoiser(EpsilonPrediction())
    seen: list[tuple[int, int]] = []
    method = TextInversion(steps=3, rate=0.01, check_every=0)
    x0 = data.mean.expand(1, 5) + 1.0
    (found,) = invert_text(denoiser, x0, shifts(0.0), method, lambda *a: seen.append(a))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert network.seen == [1, 1, 1]
    moved = found.parts[0][0, 0]
    assert torch.all((moved > 0.02) & (moved < 0.04)), "three steps of AdamW towards 1"
    assert TextInversion.published().most_nfe == 500


def test_each_image_has_an_embedding_of_its_own() -> None:
    denoiser, data, _ = exact_denoiser(EpsilonPrediction())
    x0 = torch.stack([data.mean + 1.0, data.mean - 1.0])
    method = TextInversion(steps=20, rate=0.02, check_every=0)
    both = invert_text(denoiser, x0, shifts(0.0), method)
    signs = torch.stack([c.parts[0].mean() for c in both]).sign()
    assert signs.tolist() == [1.0, -1.0]


def test_losses_that_are_not_finite_end_it() -> None:
    def broken(x: Tensor) -> Tensor:
        return x * torch.nan

    prompt = Condition((torch.zeros(1, 1, 4),))
    with pytest.raises(NonFiniteError, match="not finite"):
        invert_text(
            FunctionNetwork(broken).denoiser(),
            torch.zeros(1, 4),
            prompt,
            TextInversion(check_every=0),
        )


def test_settings_out_of_range_are_refused() -> None:
    every: list[dict[str, Any]] = [{"steps": 0}, {"rate": 0.0}, {"checks": 0}, {"patience": 0}]
    for wrong in every:
        with pytest.raises(ValueError, match="positive"):
            TextInversion(**wrong)
    with pytest.raises(ValueError, match="check_every"):
        TextInversion(check_every=-1)
