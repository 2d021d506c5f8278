"""Several problems of one family as one problem with a batch axis, each with its own density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.density import Density, GaussianMixture
from tests.problems.families import Problem


@dataclass(frozen=True)
class MixtureEach(Density):
    """Another mixture for every path of a batch.

    Args:
        means: shape (paths, components, dim); stds, log_weights: shape (paths, components).
    """

    means: Float[Tensor, "paths components dim"]
    stds: Float[Tensor, "paths components"]
    log_weights: Float[Tensor, "paths components"]

    def _log_joint(self, x: Tensor) -> Tensor:
        cross = torch.einsum("...pd,pkd->...pk", x, self.means)
        square = x.square().sum(-1, keepdim=True) - 2 * cross + self.means.square().sum(-1)
        return self.log_weights - x.shape[-1] * self.stds.log() - 0.5 * square / self.stds**2

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        pull = self._log_joint(x).softmax(-1) / self.stds**2
        return torch.einsum("...pk,pkd->...pd", pull, self.means) - pull.sum(-1, keepdim=True) * x

    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        return self._log_joint(x).logsumexp(-1)

    @property
    def precision(self) -> float:
        return 1.0 / float(self.stds.min()) ** 2

    def select(self, index: Int[Tensor, " paths"]) -> MixtureEach:
        return MixtureEach(self.means[index], self.stds[index], self.log_weights[index])


def stacked(problems: Sequence[Problem]) -> Problem:
    """Problems of one family as one problem with a batch axis. A single one may have any density.

    Raises:
        ValueError: several problems, and one whose density is no mixture.
    """
    first = problems[0]
    start = torch.stack([p.start for p in problems])
    end = torch.stack([p.end for p in problems])
    if len(problems) == 1:
        return Problem(first.density, start, end, first.alpha, first.manifold)
    mixtures: list[GaussianMixture] = []
    for problem in problems:
        if not isinstance(problem.density, GaussianMixture):
            raise ValueError(f"got {type(problem.density).__name__}; expected mixtures")
        mixtures.append(problem.density)
    density = MixtureEach(
        torch.stack([m.means for m in mixtures]),
        torch.stack([m.stds for m in mixtures]),
        torch.stack([m.weights for m in mixtures]).log(),
    )
    return Problem(density, start, end, first.alpha, first.manifold)
