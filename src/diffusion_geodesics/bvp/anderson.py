r"""Anderson acceleration of a fixed-point iteration, for a batch of independent problems.

With the update :math:`g(x)`, plain iteration is :math:`x \leftarrow x + \beta g`. From the last m
differences, Anderson's type-II step is

.. math:: \Delta = \beta g - \sum_j \gamma_j (\Delta x_j + \beta \Delta g_j), \qquad
          \gamma = \arg\min \| g - \sum_j \gamma_j \Delta g_j \|.

References:
    Walker, Ni, Anderson acceleration for fixed-point iterations, SIAM J. Numer. Anal. 2011.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.shapes import PathValues


@dataclass(frozen=True)
class History:
    """The last iterates of each problem and their updates, newest last."""

    x: Float[Tensor, "iterates problems size"]
    g: Float[Tensor, "iterates problems size"]
    count: Int[Tensor, " problems"]  # how many of them are valid (the newest ones)

    @staticmethod
    def empty(x: Float[Tensor, "problems size"], memory: int) -> History:
        """No iterates yet, of the shape of x; it will hold ``memory`` differences."""
        zeros = x.new_zeros(memory + 1, *x.shape)
        return History(zeros, zeros, torch.zeros(len(x), dtype=torch.long, device=x.device))

    def push(self, x: Tensor, g: Tensor) -> History:
        """With one more iterate."""
        x, g = torch.cat([self.x[1:], x[None]]), torch.cat([self.g[1:], g[None]])
        return History(x, g, (self.count + 1).clamp_max(len(x)))

    def keep_newest(self, where: Tensor) -> History:
        """Without all but the newest iterate, for some problems."""
        return replace(self, count=torch.where(where, self.count.clamp_max(1), self.count))

    def step(self, beta: PathValues, ridge: float) -> Float[Tensor, "problems size"]:
        """Anderson's step for every problem; the plain step β g where there is no history.

        The normal equations are scaled to unit diagonal and solved with a ridge, in float64."""
        g, mix = self.g[-1], beta[:, None]
        differences = len(self.x) - 1
        if not differences:
            return mix * g
        dg, dx = self.g.diff(dim=0), self.x.diff(dim=0)
        age = torch.arange(differences, 0, -1, device=g.device)
        valid = age[:, None] < self.count
        dg = torch.where(valid[..., None], dg, 0)
        scale = torch.linalg.vector_norm(dg, dim=-1).double()
        valid = valid & (scale > 0)
        safe = torch.where(valid, scale, 1.0)
        gram = torch.einsum("ips,jps->pij", dg, dg).double()
        gram = gram / torch.einsum("ip,jp->pij", safe, safe)
        eye = torch.eye(differences, dtype=gram.dtype, device=g.device)
        both = torch.einsum("ip,jp->pij", valid.double(), valid.double())
        gram = gram * both + eye * (1 - torch.diagonal(both, dim1=-2, dim2=-1)[..., None])
        right = torch.einsum("ips,ps->pi", dg, g).double() / safe.T * valid.T
        gram = torch.nan_to_num(gram + ridge * eye, nan=0.0, posinf=0.0, neginf=0.0)
        solved, info = torch.linalg.solve_ex(gram, torch.nan_to_num(right)[..., None])
        gamma = solved[..., 0] / safe.T * valid.T
        gamma = torch.where((info == 0)[:, None], gamma, 0).to(g)
        dx = torch.where(valid[..., None], dx, 0)
        return mix * g - torch.einsum("pi,ips->ps", gamma, dx + mix * dg)


def flat(x: Float[Tensor, "inner paths dim"]) -> Float[Tensor, "paths size"]:
    """Interior nodes as one vector for each path."""
    return x.transpose(0, 1).flatten(1)


def unflat(
    x: Float[Tensor, "paths size"], like: Float[Tensor, "inner paths dim"]
) -> Float[Tensor, "inner paths dim"]:
    """The inverse of :func:`flat`."""
    inner, paths, dim = like.shape
    return x.reshape(paths, inner, dim).transpose(0, 1)
