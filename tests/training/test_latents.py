"""Whitening: standard latents, the same reconstructions."""

from __future__ import annotations

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
    zero = torch.zeros(z.shape[1], dtype=z.dtype)
    torch.testing.assert_close(z.mean((0, 2, 3)), zero)
    torch.testing.assert_close(z.std((0, 2, 3)), zero + 1)
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
