"""Latents: whitening folded into the autoencoder, and the bank encoded once.

Whitening z -> W (z - m), over channels, is absorbed exactly by the 1x1 convolutions on either side
of the latent, so that latents have mean 0, nearly unit covariance, and the scaling factor is 1.

    python -m training.latents

Several processes can share the work: `--part 0 2` and `--part 1 2`, once whitening is done.
"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from training.autoencoder import encode
from training.bank import RUNS, from_bytes, load_images, shards

FLOOR = 0.05
"""Directions of less than this share of the mean variance are scaled as if they had it."""

POSTERIOR = 0.1
"""Standard deviation of the posterior after whitening; the decoder is trained for more."""


@torch.no_grad()
def posterior_means(network: AutoencoderKL, x: Tensor, chunk: int = 16) -> Tensor:
    """Latents (n, c, h, w) of images in [-1, 1]."""
    return torch.cat([encode(network, part) for part in x.split(chunk)])


@torch.no_grad()
def whiten(network: AutoencoderKL, x: Tensor) -> None:
    """Change quant_conv and post_quant_conv so that the latents of x are white across channels.

    Reconstructions stay as they are. Directions of little variance, the spare room of a code that
    learned to stand noise, are not blown up beyond `FLOOR`. The posterior's spread becomes the
    constant `POSTERIOR`.
    """
    quant, post = network.quant_conv, network.post_quant_conv
    if quant is None or post is None or quant.bias is None or post.bias is None:
        raise ValueError("whitening needs quant_conv and post_quant_conv with biases")
    z = posterior_means(network, x)
    c = z.shape[1]
    rows = z.transpose(0, 1).reshape(c, -1).double()
    mean, (variance, axes) = rows.mean(1), torch.linalg.eigh(rows.cov())
    spread = variance.clamp(min=FLOOR * variance.mean().item()).sqrt()
    white = (axes / spread @ axes.T).to(z)
    colour = (axes * spread @ axes.T).to(z)
    mean = mean.to(z)
    quant.weight[:c] = torch.einsum("ij,jkhw->ikhw", white, quant.weight[:c])
    quant.bias[:c] = white @ (quant.bias[:c] - mean)
    quant.weight[c:] = 0
    quant.bias[c:] = 2 * math.log(POSTERIOR)
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight.copy_(torch.einsum("ijhw,jk->ikhw", post.weight, colour))
    network.register_to_config(scaling_factor=1.0)


def encode_shard(network: AutoencoderKL, images: np.ndarray, path: Path) -> None:
    """Write the latents (2, n, c, h, w) of a shard, as it is and flipped, in half precision."""
    x = from_bytes(images)
    with torch.autocast("cpu", torch.bfloat16):
        z = torch.stack([posterior_means(network, v) for v in (x, x.flip(-1))])
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, z.half().numpy())
    os.replace(partial, path)


def main() -> None:
    parser = argparse.ArgumentParser(description="whiten the autoencoder and encode the bank")
    parser.add_argument("--bank", type=Path, default=RUNS / "bank")
    parser.add_argument("--autoencoder", type=Path, default=RUNS / "autoencoder")
    parser.add_argument("--whitened", type=Path, default=RUNS / "whitened")
    parser.add_argument("--out", type=Path, default=RUNS / "latents")
    parser.add_argument(
        "--part",
        type=int,
        nargs=2,
        default=[0, 1],
        metavar=("K", "N"),
        help="every Nth from the Kth",
    )
    parser.add_argument("--threads", type=int, default=2)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    if not o.whitened.exists():
        network = AutoencoderKL.from_pretrained(o.autoencoder).eval()
        sample = np.concatenate([shard[:16] for shard in load_images(o.bank)])
        whiten(network, from_bytes(sample))
        network.save_pretrained(o.whitened)
    network = AutoencoderKL.from_pretrained(o.whitened).eval()
    o.out.mkdir(parents=True, exist_ok=True)
    for path in shards(o.bank)[o.part[0] :: o.part[1]]:
        target = o.out / path.name
        if not target.exists():
            encode_shard(network, np.load(path), target)
            print(f"encoded {path.name}", flush=True)


if __name__ == "__main__":
    main()
