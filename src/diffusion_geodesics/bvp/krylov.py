r"""GMRES for a batch of independent linear systems that are given by matrix-vector products.

The residual :math:`\| r - A y \|` is minimised over the Krylov space of r. Every system of the
batch has its own space; the products of one iteration are computed together.

References:
    Saad, Schultz, GMRES, SIAM J. Sci. Stat. Comput. 1986.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

Vectors: TypeAlias = Float[Tensor, "problems size"]


def gmres(
    product: Callable[[Tensor], Tensor], right: Vectors, *, tol: float, max_products: int
) -> tuple[Vectors, int]:
    """Solve A y = right for every problem, from y = 0; and the number of products taken."""
    norm = torch.linalg.vector_norm(right, dim=-1)
    basis = [right / norm.clamp_min(1e-300)[:, None]]
    columns: list[Tensor] = []
    y, count = torch.zeros_like(right), 0
    for count in range(1, max_products + 1):
        fresh = torch.nan_to_num(product(basis[-1]), nan=0.0, posinf=0.0, neginf=0.0)
        column = torch.zeros_like(norm)[:, None].repeat(1, max_products + 1)
        for _ in range(2):  # orthogonalised twice: once loses the last digits
            for i, q in enumerate(basis):
                overlap = (q * fresh).sum(-1)
                column[:, i] += overlap
                fresh = fresh - overlap[:, None] * q
        size = torch.linalg.vector_norm(fresh, dim=-1)
        column[:, count] = size
        columns.append(column)
        hessenberg = torch.stack(columns, -1)[:, : count + 1]
        target = torch.zeros_like(hessenberg[..., 0])
        target[:, 0] = norm
        system = hessenberg.cpu(), target[..., None].cpu()
        solved = torch.linalg.lstsq(*system, driver="gelsd").solution.to(right)
        rest = target - (hessenberg @ solved)[..., 0]
        y = torch.einsum("pk,kps->ps", solved[..., 0], torch.stack(basis))
        done = torch.linalg.vector_norm(rest, dim=-1) <= tol * norm
        if bool((done | (size <= 1e-14 * norm)).all()):
            break
        basis.append(fresh / size.clamp_min(1e-300)[:, None])
    return y, count
