"""Whitening: white latents, the same reconstructions."""

from __future__ import annotations

import pytest
import torch

from training.autoencoder import build, decode, encode, reconstruct
from training.latents import POSTERIOR, posterior_means, whiten


def test_whitening_is_exact():
    torch.manual_seed(0)
    network = build((8, 8), groups=4).double().eval()
    x = torch.rand(6, 3, 16, 16, dtype=torch.float64) * 2 - 1
    before = reconstruct(network, x)
    whiten(network, x)
    torch.testing.assert_close(reconstruct(network, x), before)
    z = posterior_means(network, x)
    c = z.shape[1]
    rows = z.transpose(0, 1).reshape(c, -1)
    torch.testing.assert_close(rows.mean(1), torch.zeros(c, dtype=z.dtype))
    variance = torch.linalg.eigvalsh(rows.cov())
    assert variance.max() == pytest.approx(1)
    assert variance.min() > 0
    assert network.config["scaling_factor"] == 1
    with torch.no_grad():
        spread = network.encode(x, return_dict=False)[0].std
    torch.testing.assert_close(spread, torch.full_like(spread, POSTERIOR))


def test_the_autoencoder_works_at_any_size():
    torch.manual_seed(0)
    network = build((8, 8, 8), groups=4).eval()
    with torch.no_grad():
        for side in (16, 24):
            z = encode(network, torch.zeros(1, 3, side, side))
            assert z.shape == (1, 8, side // 4, side // 4)
            assert decode(network, z).shape == (1, 3, side, side)
