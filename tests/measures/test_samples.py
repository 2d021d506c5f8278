"""Distances of two samples of features against exact values and other formulas."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_geodesics.measures import (
    frechet,
    kernel_distance,
    two_sample_accuracy,
)


def test_frechet_distance_agrees_with_the_matrix_square_root() -> None:
    from scipy.linalg import sqrtm

    random = np.random.default_rng(1)
    x, y = random.normal(size=(40, 5)), random.normal(size=(30, 5)) @ random.normal(size=(5, 5))
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    exact = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * np.real(sqrtm(a @ b)))
    assert frechet(x, y) == pytest.approx(exact, rel=1e-8)
    assert frechet(x, x) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_takes_fewer_items_than_coordinates() -> None:
    x = np.random.default_rng(2).normal(size=(5, 30))
    assert frechet(x, x + 1.0) == pytest.approx(30.0, rel=1e-6)


def test_kernel_distance_is_the_double_sum() -> None:
    random = np.random.default_rng(3)
    x, y = random.normal(size=(6, 4)), random.normal(size=(5, 4)) + 0.3

    def k(p: np.ndarray, q: np.ndarray) -> float:
        return float((p @ q / 4 + 1) ** 3)

    own = [
        np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])
        for s in (x, y)
    ]
    exact = sum(own) - 2 * np.mean([[k(p, q) for q in y] for p in x])
    assert kernel_distance(x, y) == pytest.approx(exact, rel=1e-10)


def test_the_two_sample_test_finds_what_is_there_and_nothing_else() -> None:
    random = np.random.default_rng(4)
    groups = np.repeat(np.arange(40), 5)
    centre = random.normal(size=(40, 12))[groups]  # pairs differ far more than the samples do
    a, b = (centre + random.normal(size=(200, 12)) for _ in range(2))
    assert 0.42 < two_sample_accuracy(a, b, groups, groups) < 0.58
    shifted = b + 3.0 * np.eye(12)[0]
    assert two_sample_accuracy(a, shifted, groups, groups) > 0.8
    again = [two_sample_accuracy(a, shifted, groups, groups, seed=1) for _ in range(2)]
    assert again[0] == again[1]
    with pytest.raises(ValueError, match="at least 2"):
        two_sample_accuracy(a, b, 0 * groups, 0 * groups)


def test_bad_samples_are_refused() -> None:
    x = np.zeros((4, 3))
    with pytest.raises(ValueError, match="same coordinates"):
        frechet(x, np.zeros((4, 2)))
    with pytest.raises(ValueError, match="at least 2 items"):
        kernel_distance(x[:1], x)
