"""Distances of digits under your own score: python examples/digits.py WEIGHTS mnist.npz"""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

import diffusion_geodesics as dg
from diffusion_geodesics.distance import DistanceMatrix, distance_matrix

sys.path.insert(0, str(Path(__file__).parent))
from mnist_model import Flow, load

LEVEL, STRENGTH = 0.6, 1.0  # x = t x0 + (1 - t) ε at t = LEVEL: noise to signal 2/3; α·d


def invert(flow: Flow, x: torch.Tensor, level: float, steps: int = 20) -> torch.Tensor:
    """Clean latents (t = 1) carried to the noise level by Heun's method."""
    times = torch.linspace(1, level, steps + 1).tolist()
    for t, after in pairwise(times):
        slope = flow(x, t)
        x = x + 0.5 * (after - t) * (slope + flow(x + (after - t) * slope, after))
    return x


def distances(flow: Flow, clean: torch.Tensor, level: float, strength: float) -> DistanceMatrix:
    """Geodesic distances of the latents at a noise level, with -ε/s as the score."""

    def score(x: torch.Tensor) -> torch.Tensor:
        return (level * flow(x, level) - x) / (1 - level)  # ε = x - t v

    x, solver = invert(flow, clean, level), dg.PreconditionedFlow((16,))
    return distance_matrix(score, x, alpha=strength / x.shape[1], solver=solver)


def same_class_is_nearer(values: torch.Tensor, labels: torch.Tensor) -> float:
    """Probability that a random pair of one class is nearer than one of two classes (AUC)."""
    i, j = torch.triu_indices(len(labels), len(labels), 1)
    same, other = values[i, j][labels[i] == labels[j]], values[i, j][labels[i] != labels[j]]
    return float((same[:, None] < other).double().mean())


def main(weights: Path, data: Path) -> dict[str, float]:
    flow, encoder = load(weights)
    images, labels = (torch.from_numpy(np.load(data)[name]) for name in ("images", "labels"))
    index = torch.cat([(labels == digit).nonzero()[:2, 0] for digit in range(10)])
    clean = encoder(images[index][:, None].double() / 255)
    found = distances(flow, clean, LEVEL, STRENGTH)
    values = {"geodesic": found.values, "euclidean": torch.cdist(clean, clean)}
    figures = {k: same_class_is_nearer(v, labels[index]) for k, v in values.items()}
    print(figures, f"{found.score_evals} evaluations, {len(found.failed)} pairs failed")
    return figures


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
