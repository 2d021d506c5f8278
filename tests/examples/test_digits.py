"""The example of distances between digits: its own mathematics, and the real model where it is."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("digits", ROOT / "examples" / "digits.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_says_what_is_missing(example: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="MNIST-diffusion"):
        example.main(tmp_path, tmp_path)


def test_latents_follow_the_flow(example: ModuleType) -> None:
    """Along dx/dt = x from t = 1 to 0.6; Heun's error falls with the square of the steps."""
    x = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    exact = x * math.exp(-0.4)
    errors = [
        float((example.invert(lambda y, t: y, x, 0.6, steps) - exact).norm()) for steps in (10, 20)
    ]
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.05)


def test_the_share_of_nearer_pairs(example: ModuleType) -> None:
    """Points 0, 1 of one class and 3, 7 of another."""
    place = torch.tensor([0.0, 1.0, 3.0, 7.0])
    values, labels = (place[:, None] - place).abs(), torch.tensor([0, 0, 1, 1])
    # of one class: 1, 4; of two: 3, 7, 2, 6. 1 is below all four, 4 below 7 and 6.
    assert example.same_class_is_nearer(values, labels) == 6 / 8


@pytest.mark.slow
def test_digits(example: ModuleType, shared_data: Path) -> None:
    data = shared_data / "datasets" / "mnist_t10k_0-7999.npz"
    figures = example.main(shared_data / "weights", data)
    assert figures["geodesic"] > 0.6
    assert figures["euclidean"] > 0.6
    assert all(value < 1 for value in figures.values())
