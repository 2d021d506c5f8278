r"""Products with the Jacobian :math:`J = \partial f/\partial x` of a network, row by row.

Traces need products only, and :math:`\operatorname{tr} J = \operatorname{tr} J^{\mathsf T}`, so
both :math:`J v` (forward mode) and :math:`J^{\mathsf T} v` (reverse mode) can be used. Some
attention kernels have no forward-mode derivative; in forward mode the plain kernel ("math") is
selected.
"""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor

Rows: TypeAlias = Float[Tensor, "rows dim"]
Function: TypeAlias = Callable[[Tensor], Tensor]
"""Maps points (rows, dim) to values (rows, dim), each row independently."""


class Derivative(ABC):
    """A way to compute products with a Jacobian."""

    evaluations: ClassVar[int]
    """Score evaluations that one row counts as."""

    @abstractmethod
    def __call__(self, function: Function, x: Rows, v: Rows) -> tuple[Rows, Rows]:
        r"""The values f(x), and :math:`J v` or :math:`J^{\mathsf T} v`, of every row."""


@final
@dataclass(frozen=True)
class ForwardMode(Derivative):
    """J v together with the value. Memory does not grow with the depth of the network.

    Counts as one evaluation; a convolutional network on a CPU took the time of about 4.
    """

    evaluations: ClassVar[int] = 1

    def __call__(self, function: Function, x: Rows, v: Rows) -> tuple[Rows, Rows]:
        from torch.nn.attention import SDPBackend, sdpa_kernel

        with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, of torch.jit
            result = torch.func.jvp(function, (x,), (v,))
        return result[0].detach(), result[1].detach()


@final
@dataclass(frozen=True)
class ReverseMode(Derivative):
    """Jᵀv by backpropagation; the backward pass counts as one evaluation.

    Args:
        rows: most rows at once. The activations kept for backpropagation are released after each
            piece.

    Raises:
        ValueError: ``rows`` is below 1.
    """

    rows: int = 8
    evaluations: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ValueError(f"rows is {self.rows}; expected at least 1")

    def __call__(self, function: Function, x: Rows, v: Rows) -> tuple[Rows, Rows]:
        pieces: list[tuple[Tensor, Tensor]] = []
        for point, direction in zip(x.split(self.rows), v.split(self.rows), strict=True):
            with torch.enable_grad():
                leaf = point.detach().clone().requires_grad_()
                value = function(leaf)
                (product,) = torch.autograd.grad(value, leaf, direction)
            pieces.append((value.detach(), product))
        values, products = zip(*pieces, strict=True)
        return torch.cat(values), torch.cat(products)


@final
@dataclass(frozen=True)
class CentralDifferences(Derivative):
    r"""Central differences, for functions that autograd cannot differentiate.

    .. math:: J v \approx \frac{f(x + \delta v) - f(x - \delta v)}{2 \delta}

    Args:
        step: δ|v| relative to 1 + |x|, > 0; 1e-3 suits networks in float32, whose rounding error a
            smaller step would amplify.

    Raises:
        ValueError: ``step`` is not positive and finite.
    """

    step: float = 1e-3
    evaluations: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if not 0 < self.step < math.inf:
            raise ValueError(f"step is {self.step}; expected a positive finite number")

    def __call__(self, function: Function, x: Rows, v: Rows) -> tuple[Rows, Rows]:
        size = 1 + torch.linalg.vector_norm(x, dim=1, keepdim=True)
        norm = torch.linalg.vector_norm(v, dim=1, keepdim=True).clamp_min(1e-30)
        delta = self.step * size / norm
        with torch.no_grad():
            value, ahead, behind = function(torch.cat([x, x + delta * v, x - delta * v])).chunk(3)
        return value, (ahead - behind) / (2 * delta)


def working_derivative(function: Function, x: Rows) -> Derivative:
    """The first of reverse mode, forward mode and central differences that works for a function.

    On a GPU forward mode is tried first, because it needs less memory; on a CPU reverse mode took
    half its time. A mode that raises is skipped. So is one whose product is far from a central
    difference, as when a function detaches its input and autograd returns zero."""
    row = x[:1].detach()
    generator = torch.Generator().manual_seed(0)
    v = torch.randn(row.shape, generator=generator, dtype=row.dtype).to(row.device)
    fallback = CentralDifferences()
    _, expected = fallback(function, row, v)
    expected = (v * expected).sum()
    candidates = [ReverseMode(), ForwardMode()]
    for derivative in candidates if row.device.type == "cpu" else reversed(candidates):
        try:
            _, product = derivative(function, row, v)
        except (RuntimeError, NotImplementedError):
            continue
        if bool(((v * product).sum() - expected).abs() <= 0.3 * expected.abs() + 1e-6):
            return derivative
    return fallback
