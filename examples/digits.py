"""Distances of digits under your own score: python examples/digits.py WEIGHTS mnist.npz"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from diffusion_geodesics.distances import EndsMean, distance_matrix

sys.path.insert(0, str(Path(__file__).parent))
from mnist_model import Flow, load

LEVEL, STRENGTH = 0.6, 1.0  # x = t x0 + (1 - t) ε at t = LEVEL: noise to signal 2/3; α·d


def invert(flow: Flow, x: torch.Tensor, level: float, steps: int = 20) -> torch.Tensor:
    """Clean latents (t = 1) carried to the noise level by Heun's method."""
    for t, after in pairwise(torch.linspace(1, level, steps + 1).tolist()):
        slope = flow(x, t)
        x = x + 0.5 * (after - t) * (slope + flow(x + (after - t) * slope, after))
    return x


def same_class_is_nearer(values: torch.Tensor, labels: torch.Tensor) -> float:
    """Probability that a random pair of one class is nearer than one of two classes (AUC)."""
    i, j = torch.triu_indices(len(labels), len(labels), 1)
    same, other = values[i, j][labels[i] == labels[j]], values[i, j][labels[i] != labels[j]]
    return float((same[:, None] < other).double().mean())


def main(weights: Path, data: Path) -> dict[str, float]:
    flow, autoencoder = load(weights)
    images, labels = (torch.from_numpy(np.load(data)[name]) for name in ("images", "labels"))
    index = torch.cat([(labels == digit).nonzero()[:2, 0] for digit in range(10)])
    clean = autoencoder.encode(images[index][:, None].double() / 255)
    x = invert(flow, clean, LEVEL)

    def score(y: torch.Tensor) -> torch.Tensor:
        return (LEVEL * flow(y, LEVEL) - y) / (1 - LEVEL)  # -ε/s with ε = x - t v

    found = distance_matrix(score, x, alpha=STRENGTH / x.shape[1])
    values = {
        "geodesic": found.values,
        "geodesic, each pair's own reference": found.under(EndsMean()).values,
        "euclidean": torch.cdist(clean, clean),
        "euclidean at the noise level": torch.cdist(x, x),
    }
    figures = {k: same_class_is_nearer(v, labels[index]) for k, v in values.items()}
    print(figures, f"{found.nfe} evaluations, {len(found.failed)} pairs failed")
    return figures


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
