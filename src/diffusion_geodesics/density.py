r"""Scores and densities: what a geodesic needs to know about the data.

A *score* is the gradient :math:`s(t, x) = \nabla_x \log p_t(x)`. A *density* also gives
:math:`\log p_t(x)` itself, up to one constant. A diffusion model gives only the score at a low
cost, so scores and densities are different types.

``t`` in [0, 1] is the curve parameter, for densities that change along a curve (a prompt that
changes from one end to the other); densities that do not change ignore it.

References:
    Yu et al., Probability Density Geodesics in Image Diffusion Latent Space, CVPR 2025, section 3.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

ArrayLike: TypeAlias = (
    Tensor | np.ndarray | Sequence[float | int] | Sequence[Sequence[float | int]] | float | int
)
"""What is accepted as an array: tensors, numpy arrays, lists, numbers."""


class Score(ABC):
    r"""The score :math:`s(t, x) = \nabla_x \log p_t(x)` of a density.

    To use your own model, subclass this and write ``__call__``, or pass a plain function
    ``x -> s(x)`` to :func:`diffusion_geodesics.geodesics`.
    """

    @abstractmethod
    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        """Evaluate the score.

        Args:
            t: curve parameter in [0, 1], broadcastable to the batch of points.
            x: points; every leading axis is a batch axis, and all are evaluated in one batch.
        """

    @property
    def precision(self) -> float | None:
        r"""A bound on the curvature :math:`-\nabla s` across a ridge of the density, if known.

        For a density smoothed by noise of standard deviation σ this is 1/σ². Solvers use it as a
        preconditioner only; if it is None they estimate it from one more batch.
        """
        return None

    def select(self, index: Int[Tensor, " paths"]) -> Score:
        """The score for some paths of a batch (the last batch axis).

        A score that is the same for all paths returns itself, as here; one that holds something
        for each path, such as a prompt, selects it.

        Args:
            index: indices of the paths, in the order wanted.
        """
        return self


class Density(Score):
    r"""A score whose :math:`\log p_t(x)` is also known, up to one additive constant."""

    @abstractmethod
    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        """Evaluate the log density in nats.

        Args:
            t: curve parameter in [0, 1], broadcastable to the batch of points.
            x: points.
        """

    def log_prob_at(self, x: ArrayLike, t: float = 0.0) -> Float[Tensor, "*batch"]:
        """Evaluate the log density in nats, at one curve parameter for all points.

        Args:
            x: points, shape (*batch, dim), as a tensor, an array or lists.
            t: curve parameter in [0, 1]; most densities do not depend on it.

        Raises:
            ValueError: ``x`` holds no points, or a value that is not finite.
        """
        points = as_points(x, "x")
        return self.log_prob(torch.full(points.shape[:-1], t).to(points), points)


def evaluate(
    score: Score, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
) -> Float[Tensor, "*batch dim"]:
    """The values of a score, without gradients unless the points ask for them.

    The score receives copies, which it may write into.

    Args:
        score: s.
        t: curve parameter in [0, 1].
        x: points.

    Cost:
        1 score evaluation per point, in one batch.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        return score(t, x)
    return score(t.clone(), x.detach().clone()).detach()


@dataclass
class GradientUse:
    """Whether a user's function takes gradients itself; found out by calling it.

    Args:
        inside: it does.
    """

    inside: bool = False

    def values(self, function: Callable[[], Tensor]) -> Tensor:
        """The value of a function, without the memory of a graph where it needs none.

        Args:
            function: called without gradients and, if that fails, once more with gradients.
        """
        if not self.inside:
            try:
                with torch.no_grad():
                    return function()
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:
                with torch.enable_grad():
                    value = function()
                self.inside = True
                return value.detach()
        with torch.enable_grad():
            return function().detach()


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

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
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


def _vector(value: ArrayLike, name: str) -> Tensor:
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


def as_points(value: ArrayLike, name: str, axes: int | None = None) -> Float[Tensor, "*batch dim"]:
    """Points as a floating-point tensor.

    Args:
        value: tensor, numpy array or list, shape (*batch, dim). float32 and float64 tensors keep
            their type; everything else becomes float64.
        name: what to call it in messages.
        axes: number of axes expected; any from 1 by default.

    Raises:
        ValueError: it holds no numbers, has another shape, or a value is not finite.
    """
    points = _vector(value, name)
    if points.dtype not in (torch.float32, torch.float64):
        points = points.double()
    expected = {None: "(dim,) or (*batch, dim)", 1: "(dim,)", 2: "(points, dim)"}[axes]
    if points.ndim == 0 or axes not in (None, points.ndim) or not points.shape[-1]:
        raise ValueError(f"{name} has shape {tuple(points.shape)}; expected {expected}")
    return points


def _check_dim(density: object, dim: int, x: Tensor) -> None:
    if x.shape[-1] != dim:
        raise ValueError(
            f"got points of {x.shape[-1]} coordinates for a {type(density).__name__} in {dim} "
            "dimensions; expected the same number"
        )


@dataclass(frozen=True, init=False)
class Gaussian(Density):
    r"""Normal distribution :math:`N(m, \mathrm{diag}(\sigma^2))`.

    .. math:: s(x) = (m - x) / \sigma^2

    Args:
        mean: m, shape (dim,).
        std: σ > 0, one number or shape (dim,).

    Raises:
        ValueError: shapes do not fit, or a value is out of range.
    """

    mean: Float[Tensor, " dim"]
    std: Float[Tensor, "*#dim"]

    def __init__(self, mean: ArrayLike, std: ArrayLike = 1.0):
        mean_, std_ = _vector(mean, "mean"), _vector(std, "std")
        if mean_.ndim != 1:
            raise ValueError(f"mean has shape {tuple(mean_.shape)}; expected (dim,)")
        if std_.ndim > 1 or (std_.ndim == 1 and std_.shape != mean_.shape):
            raise ValueError(
                f"std has shape {tuple(std_.shape)}; expected one number or {tuple(mean_.shape)}"
            )
        if not bool((std_ > 0).all()):
            raise ValueError(f"std is {std_.min().item():g}; expected positive numbers")
        object.__setattr__(self, "mean", mean_)
        object.__setattr__(self, "std", std_)

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        _check_dim(self, len(self.mean), x)
        return (self.mean.to(x) - x) / self.std.to(x) ** 2

    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
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
        means: m, shape (components, dim).
        stds: σ > 0, one number or shape (components,).
        weights: w ≥ 0, shape (components,), normalised here; equal by default.

    Raises:
        ValueError: shapes do not fit, or a value is out of range.
    """

    means: Float[Tensor, "components dim"]
    stds: Float[Tensor, " components"]
    weights: Float[Tensor, " components"]

    def __init__(self, means: ArrayLike, stds: ArrayLike = 1.0, weights: ArrayLike | None = None):
        means_ = _vector(means, "means")
        if means_.ndim != 2 or not len(means_):
            raise ValueError(f"means has shape {tuple(means_.shape)}; expected (components, dim)")
        count = len(means_)
        stds_ = _vector(stds, "stds").to(means_.dtype)
        weights_ = _vector([1.0] * count if weights is None else weights, "weights")
        weights_ = weights_.to(means_.dtype)
        if stds_.ndim > 1 or (stds_.ndim == 1 and len(stds_) != count):
            raise ValueError(
                f"stds has shape {tuple(stds_.shape)}; expected ({count},) or a number"
            )
        if weights_.shape != (count,):
            raise ValueError(f"weights has shape {tuple(weights_.shape)}; expected ({count},)")
        if not bool((stds_ > 0).all()):
            raise ValueError(f"stds holds {stds_.min().item():g}; expected positive numbers")
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

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        pull = self._log_joint(x).softmax(-1) / self.stds.to(x) ** 2
        return pull @ self.means.to(x) - pull.sum(-1, keepdim=True) * x

    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
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

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        y = x[..., -1:]
        inverse = torch.where(y > 0, 1 / y, torch.nan)
        return torch.cat([torch.zeros_like(x[..., :-1]), inverse], -1)

    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        y = x[..., -1]
        return torch.where(y > 0, y, torch.nan).log()


@dataclass(frozen=True, init=False)
class VonMisesFisher(Density):
    r"""The density :math:`p(x) \propto \exp(\kappa\, \mu \cdot x / R)` on the sphere of radius R.

    Args:
        direction: μ, shape (dim,), normalised here.
        concentration: κ ≥ 0.
        radius: R > 0 of the sphere on which the points lie.

    Raises:
        ValueError: a value is out of range.
    """

    direction: Float[Tensor, " dim"]
    concentration: float
    radius: float = field(default=1.0)

    def __init__(self, direction: ArrayLike, concentration: float, radius: float = 1.0):
        direction_ = _vector(direction, "direction")
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

    def __call__(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch dim"]:
        _check_dim(self, len(self.direction), x)
        return (self.concentration / self.radius * self.direction.to(x)).expand(x.shape)

    def log_prob(
        self, t: Float[Tensor, "*#batch"], x: Float[Tensor, "*batch dim"]
    ) -> Float[Tensor, "*batch"]:
        _check_dim(self, len(self.direction), x)
        return self.concentration / self.radius * (x @ self.direction.to(x))

    @property
    def precision(self) -> float:
        return 0.0


def as_score(score: Score | Callable[[Tensor], Tensor]) -> Score:
    """A score, from a score or from a plain function.

    Args:
        score: a score, which is returned, or a function ``x -> s(x)``, which is wrapped.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(score, Score):
        return score
    kinds = [kind.__name__ for kind in inspect.getmro(type(score))]
    if isinstance(score, str | type):
        raise ValueError(f"got {score!r} as a score; {_SCORES}")
    if "DiffusionPipeline" in kinds or "DiffusionModel" in kinds:
        raise ValueError(
            f"got a {kinds[0]} as a score; geodesics between images are made by "
            "dg.interpolate(model, images), with dg.from_pipeline(pipeline) for a pipeline. Here "
            + _SCORES
        )
    if callable(score):
        return FunctionScore(score)
    raise ValueError(f"got a {kinds[0]} as a score; {_SCORES}")


_SCORES = (
    "expected a Score, a Density such as dg.Gaussian(mean, std), or a function x -> score of the "
    "same shape"
)
