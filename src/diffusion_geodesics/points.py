"""What users give, points and functions of them, and the shapes that such functions have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

ArrayLike: TypeAlias = (
    Tensor | np.ndarray | Sequence[float | int] | Sequence[Sequence[float | int]] | float | int
)
"""What is accepted as an array: tensors, numpy arrays, lists, numbers."""

Points = Float[Tensor, "*batch dim"]
"""Points; every leading axis is a batch axis."""
Times = Float[Tensor, "*#batch"]
"""Curve parameters in [0, 1], broadcastable to the batch of points."""
Values = Float[Tensor, "*batch"]
"""A number for each point."""


def as_tensor(value: ArrayLike, name: str) -> Tensor:
    """Finite real numbers as a floating-point tensor; `ValueError`, which calls them ``name``."""
    try:
        tensor = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        tensor = None
    if tensor is None or tensor.is_complex() or tensor.dtype == torch.bool:
        kind = type(value).__name__ if tensor is None else tensor.dtype
        raise ValueError(
            f"{name} is a {kind} that is no array of real numbers; expected a tensor, a numpy "
            "array or a list of numbers"
        )
    if not (isinstance(value, Tensor) and tensor.is_floating_point()):
        tensor = torch.as_tensor(value, dtype=torch.float64)
    if not bool(torch.isfinite(tensor).all()):
        raise ValueError(f"{name} holds a value that is not finite; expected finite numbers")
    return tensor


def as_points(value: ArrayLike, name: str, axes: int | None = None) -> Points:
    """Points of shape (*batch, dim) as a tensor. float32 and float64 tensors keep their type;
    everything else becomes float64.

    `ValueError`, in which ``name`` names them, if they hold no numbers, have another shape or
    number of axes, or a value is not finite.
    """
    points = as_tensor(value, name)
    if points.dtype not in (torch.float32, torch.float64):
        points = points.double()
    expected = {None: "(dim,) or (*batch, dim)", 1: "(dim,)", 2: "(points, dim)"}[axes]
    if points.ndim == 0 or axes not in (None, points.ndim) or not points.shape[-1]:
        raise ValueError(f"{name} has shape {tuple(points.shape)}; expected {expected}")
    return points


def norm(x: Points) -> Float[Tensor, "*batch 1"]:
    """Euclidean norms along the last axis, which stays with length 1."""
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def seeded_noise(shape: Sequence[int], seed: int | torch.Generator, like: Tensor) -> Tensor:
    """Standard normal numbers, drawn on the CPU in double precision, as ``like`` is kept."""
    generator = torch.Generator().manual_seed(seed) if isinstance(seed, int) else seed
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(like)


@dataclass
class GradientUse:
    """Whether a user's function takes gradients itself; found out by calling it."""

    inside: bool = False

    def values(self, function: Callable[[], Tensor]) -> Tensor:
        """The value of a function, called without gradients and, if that fails, once more with
        them."""
        if not self.inside:
            try:
                with torch.no_grad():
                    return function()
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:
                pass
        with torch.enable_grad():
            value = function()
        self.inside = True
        return value.detach()
