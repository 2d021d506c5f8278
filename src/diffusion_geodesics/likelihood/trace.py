r"""Traces of a matrix that is given by matrix-vector products.

The matrix is :math:`D = \partial \hat y_0 / \partial y = \sigma^2 (\nabla s + I/\sigma^2)`, the
Jacobian of the denoised estimate. Its eigenvalues lie between 0 and 1, and all but a few are nearly
equal because data varies in few directions. Hutch++, which treats the leading directions exactly,
is therefore far more accurate on D than on the Jacobian of the score, nearly all of whose
eigenvalues are :math:`-1/\sigma^2`.

References:
    Hutchinson, Communications in Statistics 1989.
    Meyer, Musco, Musco, Woodruff, Hutch++: Optimal Stochastic Trace Estimation, SOSA 2021.
    Epperly, Tropp, Webber, XTrace: Making the Most of Every Sample in Stochastic Trace Estimation,
    SIMAX 2024, section 2.3 (normalised residual vectors).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, final

import torch
from jaxtyping import Float
from torch import Tensor

Vectors: TypeAlias = Float[Tensor, "k points dim"]
Samples: TypeAlias = Float[Tensor, "samples points"]
Product: TypeAlias = Callable[[Tensor], Tensor]
"""Maps vectors (k, points, dim) to the products D v, in the same shape, in one batch."""


class Trace(ABC):
    """How a trace is estimated.

    The random vectors are drawn once and kept along the whole flow, so that the integrand is
    smooth. Each of them gives one sample of the integral.
    """

    exact: ClassVar[bool] = False
    """Whether the samples are the trace itself."""

    @abstractmethod
    def draw(self, x: Float[Tensor, "points dim"]) -> Vectors:
        """The vectors, of the shape, dtype and device of points; the same for the same seed."""

    @abstractmethod
    def samples(self, product: Product, vectors: Vectors) -> Samples:
        """Unbiased samples of tr D at every point, with the vectors of :meth:`draw`."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Number of samples."""


@final
@dataclass(frozen=True)
class ExactTrace(Trace):
    """The exact trace by all unit vectors: dim products per point."""

    exact: ClassVar[bool] = True

    def draw(self, x: Float[Tensor, "points dim"]) -> Vectors:
        points, dim = x.shape
        return torch.eye(dim).to(x)[:, None].expand(dim, points, dim)

    def samples(self, product: Product, vectors: Vectors) -> Samples:
        return (vectors * product(vectors)).sum((0, 2))[None]

    @property
    def count(self) -> int:
        return 1


@final
@dataclass(frozen=True)
class Hutchinson(Trace):
    r"""The mean of :math:`v^{\mathsf T} D v` over random signs v.

    Args:
        probes: number of vectors, and so of products per point, ≥ 1; at least 2 for a standard
            error.
        seed: of the random signs.

    Raises:
        ValueError: ``probes`` is below 1.
    """

    probes: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.probes, 1)

    def draw(self, x: Float[Tensor, "points dim"]) -> Vectors:
        generator = torch.Generator().manual_seed(self.seed)
        bits = torch.randint(0, 2, (self.probes, *x.shape), generator=generator)
        return (2 * bits - 1).to(x)

    def samples(self, product: Product, vectors: Vectors) -> Samples:
        return (vectors * product(vectors)).sum(-1)

    @property
    def count(self) -> int:
        return self.probes


@final
@dataclass(frozen=True)
class ShiftedHutchPlusPlus(Trace):
    r"""Hutch++: the exact trace on the range Q of a sketch, and random vectors in the complement.

    .. math:: \operatorname{tr} Q^{\mathsf T} D Q + \frac1m \sum_j r_j^{\mathsf T} D r_j, \qquad
              Q = \operatorname{orth}\,(D - c I) S

    with S orthonormal, c the median eigenvalue of :math:`S^{\mathsf T} D S`, and r uniform on the
    sphere of radius :math:`\sqrt{d - q}` in the complement of Q. The estimate is exact for a
    multiple of the identity plus a matrix whose rank is below a sixth of ``probes``.

    Args:
        probes: products per point, a multiple of 3: a third each for the sketch, for Q, and for
            the m vectors r; at least 6 for a standard error.
        seed: of the random vectors.

    Raises:
        ValueError: ``probes`` is no multiple of 3 or below 3.
    """

    probes: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        _check(self.probes, 3)
        if self.probes % 3:
            raise ValueError(f"probes is {self.probes}; expected a multiple of 3 for Hutch++")

    def draw(self, x: Float[Tensor, "points dim"]) -> Vectors:
        generator = torch.Generator().manual_seed(self.seed)
        shape = (2 * self.probes // 3, *x.shape)
        return torch.randn(shape, generator=generator, dtype=x.dtype).to(x.device)

    def samples(self, product: Product, vectors: Vectors) -> Samples:
        sketch, rest = vectors.chunk(2)
        frame, _ = torch.linalg.qr(sketch.permute(1, 2, 0))
        image = product(frame.permute(2, 0, 1)).permute(1, 2, 0)
        small = (frame.mT @ image).nan_to_num()
        shift = torch.linalg.eigvalsh(small + small.mT).median(1).values[:, None, None] / 2
        basis, _ = torch.linalg.qr(image - shift * frame)
        columns = basis.permute(2, 0, 1)
        inside = torch.einsum("neq,kne->knq", basis, rest)  # in two steps: in one, k·d² numbers
        rest = rest - torch.einsum("ndq,knq->knd", basis, inside)
        norm = torch.linalg.vector_norm(rest, dim=-1, keepdim=True).clamp_min(1e-30)
        rest = rest / norm * (rest.shape[-1] - len(columns)) ** 0.5
        both = torch.cat([columns, rest])
        forms = (both * product(both)).sum(-1)
        return forms[: len(columns)].sum(0) + forms[len(columns) :]

    @property
    def count(self) -> int:
        return self.probes // 3


def _check(probes: int, least: int) -> None:
    if probes < least:
        raise ValueError(f"probes is {probes}; expected at least {least}")
