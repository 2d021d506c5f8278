r"""The Fisher-Rao metric of denoising distributions, on points and noise levels together.

It agrees with the closed form for a normal prior; on images it has not been measured. Ends at σ = 0
are infinitely far away, and near it the solver is slow (docs/metrics.md).

Given a noised point :math:`x = x_0 + \sigma \varepsilon`, the clean point has the distribution

.. math:: p(x_0 \mid x, \sigma) \propto p(x_0)\,
          \exp\left(-\frac{|x - x_0|^2}{2 \sigma^2}\right)
          \propto p(x_0)\, e^{\eta \cdot T(x_0)}, \qquad
          \eta = \left(\frac{x}{\sigma^2}, -\frac{1}{2 \sigma^2}\right), \quad
          T = (x_0, |x_0|^2),

an exponential family. A short segment has the squared length :math:`\ell^2 = (\eta_{i+1} - \eta_i)
\cdot (\mu_{i+1} - \mu_i)` with :math:`\mu = E[T]`, the symmetrised Kullback-Leibler divergence of
its ends. The expectations come from a denoiser :math:`D(x, \sigma) = E[x_0 \mid x, \sigma]`:
:math:`E\,|x_0|^2 = |D|^2 + \sigma^2\,\mathrm{div}\, D`. Noise :math:`x = a x_0 + s \varepsilon` is
the same family at :math:`(x / a,\; \sigma = s / a)`. Points here are :math:`(x, \log \sigma)`.

References:
    Karczewski, Heinonen, Pouplin, Hauberg, Garg, The Spacetime of Diffusion Models: An Information
    Geometry Perspective, 2025.
    Costa, Santos, Strapasson, Fisher information distance: a geometrical reading, 2015 (the closed
    form for normal distributions).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import GaussianMixture
from diffusion_geodesics.manifold import Flat, Manifold
from diffusion_geodesics.metric import Energy
from diffusion_geodesics.metric.differentiable import require_gradient


class Moments(ABC):
    """Expectations of the clean point given a noised one."""

    @abstractmethod
    def __call__(
        self, x: Float[Tensor, "*batch dim"], sigma: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch"]]:
        """E[x₀ | x, σ] and E[|x₀|² | x, σ], differentiable by autograd."""

    @abstractmethod
    def evaluations(self, *, gradient: bool) -> int:
        """Denoiser evaluations per point.

        Args:
            gradient: whether the gradient is taken too.
        """


@dataclass(frozen=True)
class MixtureMoments(Moments):
    """The exact moments of a mixture of Gaussians.

    Args:
        prior: the distribution of clean points.
    """

    prior: GaussianMixture

    def __call__(
        self, x: Float[Tensor, "*batch dim"], sigma: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch"]]:
        means, own = self.prior.means.to(x), self.prior.stds.to(x).square()
        noise = sigma.square()[..., None]
        total = own + noise
        square = (x[..., None, :] - means).square().sum(-1)
        joint = self.prior.weights.to(x).log() - 0.5 * (x.shape[-1] * total.log() + square / total)
        weight = joint.softmax(-1)
        mean = (own[:, None] * x[..., None, :] + noise[..., None] * means) / total[..., None]
        spread = x.shape[-1] * own * noise / total
        first = (weight[..., None] * mean).sum(-2)
        return first, (weight * (mean.square().sum(-1) + spread)).sum(-1)

    def evaluations(self, *, gradient: bool) -> int:
        return 2 if gradient else 1


@dataclass(frozen=True)
class DenoiserMoments(Moments):
    """The moments that a denoiser gives, its divergence by central differences along m probes:
    random signs (Hutchinson), the same at every point, so that the energy is smooth and
    deterministic; or the d coordinate directions, exact but for the step.

    Args:
        denoiser: maps points (n, dim) and noise levels (n,) to E[x₀ | x, σ], shape (n, dim). For a
            score s of the density noised to σ it is x + σ² s. Autograd must be able to
            differentiate it.
        dim: number of coordinates.
        probes: m ≥ 1 random probes, or None for the d directions. The error of a divergence
            decreases as 1/√m; it matters where σ changes along the curve.
        step: δ in units of σ, in (0, 1). Larger for half precision.
        seed: of the probes.

    Raises:
        ValueError: ``dim``, ``probes`` or ``step`` is out of range.

    Cost:
        1 + 2m evaluations per point, 1 + 2d without probes; twice that with the gradient.
    """

    denoiser: Callable[[Tensor, Tensor], Tensor]
    dim: int
    probes: int | None = 1
    step: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim < 1 or (self.probes is not None and self.probes < 1):
            raise ValueError(
                f"dim is {self.dim} and probes {self.probes}; expected at least 1 of each, or "
                "probes=None for the exact divergence"
            )
        if not 0 < self.step < 1:
            raise ValueError(f"step is {self.step}; expected a fraction of sigma in (0, 1)")

    def _directions(self, like: Tensor) -> Tensor:
        """Probes, scaled so that the sum over them is the divergence, shape (probes, dim)."""
        if self.probes is None:
            return torch.eye(self.dim, dtype=like.dtype, device=like.device)
        generator = torch.Generator().manual_seed(self.seed)
        signs = torch.randint(0, 2, (self.probes, self.dim), generator=generator) * 2 - 1
        return signs.to(like) / self.probes**0.5

    def __call__(
        self, x: Float[Tensor, "*batch dim"], sigma: Float[Tensor, "*batch"]
    ) -> tuple[Float[Tensor, "*batch dim"], Float[Tensor, "*batch"]]:
        if x.shape[-1] != self.dim:
            raise ValueError(f"points have {x.shape[-1]} coordinates; expected dim = {self.dim}")
        rows, noise = x.reshape(-1, self.dim), sigma.reshape(-1)
        z = self._directions(x)[:, None]
        move = self.step * noise[:, None] * z
        points = torch.cat([rows[None], rows + move, rows - move])
        values = self.denoiser(points.flatten(0, 1), noise.repeat(len(points)))
        if not isinstance(values, Tensor) or values.shape != (points[..., 0].numel(), self.dim):
            raise ValueError(
                f"the denoiser returned {getattr(values, 'shape', type(values).__name__)} for "
                f"points of shape {tuple(points.flatten(0, 1).shape)}; expected the same shape"
            )
        values = values.to(x.dtype).reshape(points.shape)
        mean, ahead, behind = values[0], *values[1:].chunk(2)
        slope = (z * (ahead - behind)).sum(-1).sum(0)
        second = mean.square().sum(-1) + 0.5 * noise / self.step * slope
        return mean.reshape(x.shape), second.reshape(sigma.shape)

    def evaluations(self, *, gradient: bool) -> int:
        points = 1 + 2 * (self.dim if self.probes is None else self.probes)
        return 2 * points if gradient else points


@dataclass(frozen=True)
class FisherRao(Energy):
    """The Fisher-Rao energy of curves through points and noise levels.

    Its points are (x, log σ), shape (..., dim + 1); :func:`spacetime_point` makes them.

    Args:
        moments: the expectation parameters.
    """

    moments: Moments

    @property
    def manifold(self) -> Manifold:
        return Flat()

    def segments(
        self, t: Float[Tensor, " nodes"], nodes: Float[Tensor, "nodes paths dim"]
    ) -> Float[Tensor, "segments paths"]:
        x, sigma = nodes[..., :-1], nodes[..., -1].exp()
        mean, second = self.moments(x, sigma)
        if nodes.requires_grad:
            require_gradient(mean, self.moments)
        precision = sigma.square().reciprocal()
        natural = x * precision[..., None]
        first = (natural[1:] - natural[:-1]) * (mean[1:] - mean[:-1])
        return first.sum(-1) - 0.5 * (precision[1:] - precision[:-1]) * (second[1:] - second[:-1])

    def evaluations(self, nodes: int, *, gradient: bool) -> int:
        return nodes * self.moments.evaluations(gradient=gradient)


def spacetime_point(
    x: Float[Tensor, "*batch dim"], sigma: float, a: float = 1.0
) -> Float[Tensor, "*batch dim1"]:
    """The point (x/a, log(σ/a)) of a noised latent x = a x₀ + σ ε.

    Args:
        x: noised latents.
        sigma: σ > 0.
        a: scale of the signal, > 0.

    Raises:
        ValueError: σ or a is not positive.
    """
    if not (sigma > 0 and a > 0):
        raise ValueError(f"sigma is {sigma} and a {a}; expected positive numbers")
    level = torch.full_like(x[..., :1], sigma / a).log()
    return torch.cat([x / a, level], -1)
