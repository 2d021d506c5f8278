"""The authors' initial value algorithm in NumPy, from its description alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def off(u: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The part of u across w."""
    return u - (u @ w) / (w @ w) * w


def ported(
    score: Callable[[float, np.ndarray], np.ndarray],
    x: np.ndarray,
    v: np.ndarray,
    steps: int,
    *,
    alpha: float,
    sphere: bool = True,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Points and velocities after each step; t goes from 0 to 1."""
    radius, speed, h = np.linalg.norm(x), np.linalg.norm(v), 1 / steps
    if sphere:
        v = off(v, x)
        v *= speed / np.linalg.norm(v)
    points, velocities = [x], [v]
    for i in range(steps):

        def rate(y: np.ndarray, w: np.ndarray, t: float = i / steps) -> np.ndarray:
            s = score(t, y)
            a = -alpha * (w @ w) * off(off(s, y) if sphere else s, w)
            return np.stack([w, off(a, y) if sphere else a])

        state = np.stack([x, v])
        k1 = rate(*state)
        k2 = rate(*(state + h / 2 * k1))
        k3 = rate(*(state + h / 2 * k2))
        k4 = rate(*(state + h * k3))
        x, v = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        if sphere:
            x = x * radius / np.linalg.norm(x)
            v = off(v, x)
        v = v * speed / np.linalg.norm(v)
        points.append(x)
        velocities.append(v)
    return points, velocities
