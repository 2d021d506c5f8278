r"""Scores and densities: what a geodesic needs to know about the data.

A *score* is the gradient :math:`s(t, x) = \nabla_x \log p_t(x)`. A *density* also gives :math:`\log
p_t(x)` itself, up to one constant. A diffusion model gives only the score at a low cost, so scores
and densities are different types. ``t`` in [0, 1] is the curve parameter, for densities that change
along a curve (a prompt that changes from one end to the other). See Yu et al., CVPR 2025, section
3.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from diffusion_geodesics.points import (
    ArrayLike,
    GradientUse,
    Points,
    Times,
    Values,
    as_points,
    as_tensor,
)


class Score(ABC):
    r"""The score :math:`s(t, x) = \nabla_x \log p_t(x)` of a density.

    To use your own model, subclass this and write ``__call__``, or pass a plain function
    ``x -> s(x)`` to :func:`diffusion_geodesics.geodesics`.
    """

    @abstractmethod
    def __call__(self, t: Times, x: Points) -> Points:
        """The score at points with curve parameters t, all in one batch."""

    @property
    def precision(self) -> float | None:
        r"""A bound on the curvature :math:`-\nabla s` across a ridge of the density, if known: 1/σ²
        for a density smoothed by noise of standard deviation σ. Solvers use it as a preconditioner
        only; if it is None they estimate it from one more batch.
        """
        return None

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        """The score for some paths of a batch (the last batch axis), in the order wanted. One that
        holds something for each path, such as a prompt, selects it; others return themselves."""
        return self


class Density(Score):
    r"""A score whose :math:`\log p_t(x)` is also known, up to one additive constant."""

    @abstractmethod
    def log_prob(self, t: Times, x: Points) -> Values:
        """The log density in nats at points with curve parameters t."""

    def log_prob_at(self, x: ArrayLike, t: float = 0.0) -> Values:
        """The log density in nats of points, shape (*batch, dim), at one curve parameter in [0, 1].

        `ValueError` if ``x`` holds no points, or a value that is not finite.
        """
        points = as_points(x, "x")
        return self.log_prob(torch.full(points.shape[:-1], t).to(points), points)


def evaluate(score: Score, t: Times, x: Points) -> Points:
    """The values of a score, without gradients unless the points ask for them. The score receives
    copies, which it may write into. Cost: 1 score evaluation per point, in one batch."""
    if torch.is_grad_enabled() and x.requires_grad:
        return score(t, x)
    return score(t.clone(), x.detach().clone()).detach()


@dataclass(frozen=True)
class FunctionScore(Score):
    """A plain function ``x -> s(x)`` as a score.

    Args:
        function: takes points of shape (n, dim), a copy that it may change, returns their scores
            in the same shape. It may take gradients inside; its own graph is kept only if the
            points ask for gradients.
    """

    function: Callable[[Tensor], Tensor]
    _use: GradientUse = field(default_factory=GradientUse, repr=False, compare=False)

    def __call__(self, t: Times, x: Points) -> Points:
        if torch.is_grad_enabled() and x.requires_grad:
            return self._values(x.clone())
        with torch.inference_mode(False):
            return self._use.values(lambda: self._values(x.detach().clone()))

    def _values(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        shape = rows.shape
        scores = self.function(rows)
        if not isinstance(scores, Tensor) or scores.shape != shape:
            got = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise ValueError(
                f"the score function returned {got} for points of shape {tuple(shape)}; "
                "expected a tensor of the same shape. If your function returns log p, take its "
                "gradient first."
            )
        return scores.to(x.dtype).reshape(x.shape)


def _check_dim(density: object, dim: int, x: Tensor) -> None:
    if x.shape[-1] != dim:
        raise ValueError(
            f"got points of {x.shape[-1]} coordinates for a {type(density).__name__} in {dim} "
            "dimensions; expected the same number"
        )


def _scales(value: ArrayLike, name: str, count: int) -> Tensor:
    """Standard deviations: one positive number, or ``count``."""
    scales = as_tensor(value, name)
    if scales.shape not in ((), (count,)):
        raise ValueError(
            f"{name} has shape {tuple(scales.shape)}; expected one number or ({count},)"
        )
    if not bool((scales > 0).all()):
        raise ValueError(f"{name} is {scales.min().item():g}; expected positive numbers")
    return scales


@dataclass(frozen=True, init=False)
class Gaussian(Density):
    r"""Normal distribution :math:`N(m, \mathrm{diag}(\sigma^2))`: :math:`s(x) = (m-x) / \sigma^2`.

    Args:
        mean: m, shape (dim,).
        std: σ > 0, one number or shape (dim,); `ValueError` for anything else.
    """

    mean: Float[Tensor, " dim"]
    std: Float[Tensor, "*#dim"]

    def __init__(self, mean: ArrayLike, std: ArrayLike = 1.0):
        mean_ = as_tensor(mean, "mean")
        if mean_.ndim != 1:
            raise ValueError(f"mean has shape {tuple(mean_.shape)}; expected (dim,)")
        object.__setattr__(self, "mean", mean_)
        object.__setattr__(self, "std", _scales(std, "std", len(mean_)))

    def __call__(self, t: Times, x: Points) -> Points:
        _check_dim(self, len(self.mean), x)
        return (self.mean.to(x) - x) / self.std.to(x) ** 2

    def log_prob(self, t: Times, x: Points) -> Values:
        _check_dim(self, len(self.mean), x)
        std = self.std.to(x).expand(x.shape[-1])
        z = (x - self.mean.to(x)) / std
        return -0.5 * z.square().sum(-1) - std.log().sum() - 0.5 * len(std) * math.log(2 * math.pi)

    @property
    def precision(self) -> float:
        return 1.0 / float(self.std.min()) ** 2


@dataclass(frozen=True, init=False)
class GaussianMixture(Density):
    r"""Mixture of isotropic Gaussians :math:`\sum_k w_k N(m_k, \sigma_k^2 I)`.

    Args:
        means: m, shape (components, dim); `ValueError` for anything else, here and below.
        stds: σ > 0, one number or shape (components,).
        weights: w ≥ 0, shape (components,), normalised here; equal by default.
    """

    means: Float[Tensor, "components dim"]
    stds: Float[Tensor, " components"]
    weights: Float[Tensor, " components"]

    def __init__(self, means: ArrayLike, stds: ArrayLike = 1.0, weights: ArrayLike | None = None):
        means_ = as_tensor(means, "means")
        if means_.ndim != 2 or not len(means_):
            raise ValueError(f"means has shape {tuple(means_.shape)}; expected (components, dim)")
        count = len(means_)
        stds_ = _scales(stds, "stds", count).to(means_.dtype)
        weights_ = as_tensor([1.0] * count if weights is None else weights, "weights")
        weights_ = weights_.to(means_.dtype)
        if weights_.shape != (count,):
            raise ValueError(f"weights has shape {tuple(weights_.shape)}; expected ({count},)")
        if not (bool((weights_ >= 0).all()) and float(weights_.sum()) > 0):
            raise ValueError("weights must not be negative, and at least one must be positive")
        object.__setattr__(self, "means", means_)
        object.__setattr__(self, "stds", stds_.expand(count).clone())
        object.__setattr__(self, "weights", weights_ / weights_.sum())

    def _log_joint(self, x: Tensor) -> Tensor:
        _check_dim(self, self.means.shape[1], x)
        means, stds = self.means.to(x), self.stds.to(x)
        square = x.square().sum(-1, keepdim=True) - 2 * x @ means.T + means.square().sum(-1)
        norm = x.shape[-1] * (stds.log() + 0.5 * math.log(2 * math.pi))
        return self.weights.to(x).log() - norm - 0.5 * square / stds**2

    def __call__(self, t: Times, x: Points) -> Points:
        pull = self._log_joint(x).softmax(-1) / self.stds.to(x) ** 2
        return pull @ self.means.to(x) - pull.sum(-1, keepdim=True) * x

    def log_prob(self, t: Times, x: Points) -> Values:
        return self._log_joint(x).logsumexp(-1)

    @property
    def precision(self) -> float:
        return 1.0 / float(self.stds[self.weights > 0].min()) ** 2


@dataclass(frozen=True)
class HalfPlane(Density):
    r"""The density :math:`p(x) \propto y` on the half space :math:`y = x_{dim} > 0`.

    It cannot be normalised. With α = 1 its geometry is hyperbolic: geodesics are semicircles, and
    :math:`d(A, B) = \operatorname{arccosh}(1 + |A - B|^2 / (2 y_A y_B))`.
    Outside the half space score and log density are NaN.
    """

    def __call__(self, t: Times, x: Points) -> Points:
        y = x[..., -1:]
        inverse = torch.where(y > 0, 1 / y, torch.nan)
        return torch.cat([torch.zeros_like(x[..., :-1]), inverse], -1)

    def log_prob(self, t: Times, x: Points) -> Values:
        y = x[..., -1]
        return torch.where(y > 0, y, torch.nan).log()


@dataclass(frozen=True, init=False)
class VonMisesFisher(Density):
    r"""The density :math:`p(x) \propto \exp(\kappa\, \mu \cdot x / R)` on the sphere of radius R.

    Args:
        direction: μ, shape (dim,), normalised here; `ValueError` for zero.
        concentration: κ ≥ 0.
        radius: R > 0 of the sphere on which the points lie.
    """

    direction: Float[Tensor, " dim"]
    concentration: float
    radius: float = field(default=1.0)

    def __init__(self, direction: ArrayLike, concentration: float, radius: float = 1.0):
        direction_ = as_tensor(direction, "direction")
        norm = float(direction_.norm())
        if direction_.ndim != 1 or norm == 0:
            raise ValueError(f"direction is {direction}; expected a non-zero vector")
        if concentration < 0 or radius <= 0:
            raise ValueError(
                f"concentration is {concentration:g} and radius {radius:g}; "
                "expected concentration ≥ 0 and radius > 0"
            )
        object.__setattr__(self, "direction", direction_ / norm)
        object.__setattr__(self, "concentration", float(concentration))
        object.__setattr__(self, "radius", float(radius))

    def __call__(self, t: Times, x: Points) -> Points:
        _check_dim(self, len(self.direction), x)
        return (self.concentration / self.radius * self.direction.to(x)).expand(x.shape)

    def log_prob(self, t: Times, x: Points) -> Values:
        _check_dim(self, len(self.direction), x)
        return self.concentration / self.radius * (x @ self.direction.to(x))

    @property
    def precision(self) -> float:
        return 0.0


def as_score(score: Score | Callable[[Tensor], Tensor]) -> Score:
    """A score, from a score or from a plain function x -> s(x); `ValueError` for anything else."""
    if isinstance(score, Score):
        return score
    kinds = [kind.__name__ for kind in inspect.getmro(type(score))]
    image_model = "DiffusionPipeline" in kinds or "DiffusionModel" in kinds
    if callable(score) and not isinstance(score, type) and not image_model:
        return FunctionScore(score)
    got = repr(score) if isinstance(score, str | type) else f"a {kinds[0]}"
    images = (
        "geodesics between images are made by dg.interpolate(model, images), with "
        "dg.from_pipeline(pipeline) for a pipeline. Here "
    )
    raise ValueError(
        f"got {got} as a score; {images if image_model else ''}expected a Score, a Density such as "
        "dg.Gaussian(mean, std), or a function x -> score of the same shape"
    )
