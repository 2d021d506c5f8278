r"""Absolute log density by the probability flow.

In :math:`y = x/a` and :math:`\sigma = s/a` the flow is
:math:`dy/d\log\sigma = \sigma\,\hat\varepsilon(y, \sigma)`, and along it

.. math:: \log p_\sigma(y_\sigma) = \log p_T(y_T)
          + \int_{\log\sigma}^{\log\sigma_T} (d - \operatorname{tr} D)\,d\log\sigma', \qquad
          D = \partial (y - \sigma' \hat\varepsilon) / \partial y .

The density of x is that of y divided by :math:`a^d`.

References:
    Song et al., Score-Based Generative Modeling through SDEs, ICLR 2021, appendix D.2.
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, NeurIPS 2022
    (y and σ).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.density import Density, Gaussian
from diffusion_geodesics.likelihood.dormand_prince import Integration, State, integrate
from diffusion_geodesics.likelihood.jacobian import Derivative, working_derivative
from diffusion_geodesics.likelihood.noise import NoiseField
from diffusion_geodesics.likelihood.trace import ShiftedHutchPlusPlus, Trace


class FlowResult(Enum):
    """How the flow ended. Each value is a message that says what to change."""

    converged = "the flow reached the noise"
    max_steps = (
        "the flow did not reach the noise within max_steps steps: raise max_steps or rtol, or use "
        "a smoother or more exact score"
    )
    non_finite = "the score or the density is not finite: check the score at both ends of the noise"


@dataclass(frozen=True)
class LogDensity:
    """Absolute log densities of points, with their errors.

    Args:
        log_prob: log p(x) in nats; NaN unless the flow ``converged``.
        standard_error: of the trace estimate, from its samples; 0 for the exact trace, NaN for a
            single sample.
        solver_error: estimate of what the integration adds, in nats.
        dim: coordinates of a point; result: how the flow ended.
        bin_width: width of a quantisation bin in the coordinates of x; 1 for continuous data.
        sigma, sigma_max: noise levels at which the flow starts and ends.
        trace, derivative: how traces and products with the Jacobian were computed.
        steps: accepted and rejected steps.
        nfe, batches: score evaluations (rows through the network) and their batches.
    """

    log_prob: Float[Tensor, " points"]
    standard_error: Float[Tensor, " points"]
    solver_error: Float[Tensor, " points"]
    dim: int
    bin_width: float
    sigma: float
    sigma_max: float
    trace: Trace
    derivative: Derivative
    result: FlowResult
    steps: tuple[int, int]
    nfe: int
    batches: int

    @property
    def error(self) -> Float[Tensor, " points"]:
        """Root sum of squares of both errors, in nats."""
        return torch.hypot(self.standard_error, self.solver_error)

    @property
    def bits_per_dim(self) -> Float[Tensor, " points"]:
        r"""Bits per dimension, :math:`-\log_2 p / d - \log_2 \Delta` with bin width Δ.

        For a model of 8-bit pixels scaled to [-1, 1], Δ = 2/255 gives the bits per pixel and
        channel of the discrete image, with the density of a bin taken at its middle. For a latent
        model it is bits per latent dimension, which cannot be compared between models.
        """
        return -self.log_prob / (self.dim * math.log(2)) - math.log2(self.bin_width)

    @property
    def bits_error(self) -> Float[Tensor, " points"]:
        """Error of ``bits_per_dim``."""
        return self.error / (self.dim * math.log(2))


def log_density(
    noise: NoiseField,
    x: Float[Tensor, "points dim"],
    sigma: float,
    *,
    trace: Trace | None = None,
    terminal: Density | None = None,
    sigma_max: float | None = None,
    rtol: float = 1e-5,
    bin_width: float = 1.0,
    derivative: Derivative | None = None,
    max_steps: int = 200,
    on_step: Callable[[float], None] | None = None,
) -> LogDensity:
    r"""Absolute log density of points at a noise level, by the probability flow to pure noise.

    Args:
        noise: the predicted noise: ``DenoiserNoise(denoiser, condition)`` for a diffusion model,
            ``ScoreNoise(score)`` for a plain function score(x, σ).
        x: points of the model, a·y, in float32 or float64, all in one batch.
        sigma: their noise-to-signal ratio s/a > 0. The density is that of data noised to σ; take
            the smallest that the model knows for clean points.
        trace: how to estimate traces; ``ShiftedHutchPlusPlus(24)`` by default.
        terminal: density of y at ``sigma_max``; by default N(0, σ²I), or N(0, (1 + σ²) I) for
            a diffusion model, whose latents have unit variance.
        sigma_max: noise level at the end of the flow; by default the field's own.
        rtol: relative tolerance of the adaptive fifth-order solver.
        bin_width: for bits per dimension; see :class:`LogDensity`.
        derivative: how to compute Jacobian products; by default the first that works of reverse
            mode, forward mode and central differences.
        max_steps: steps after which the flow ends with ``FlowResult.max_steps``.
        on_step: called with the fraction done, in [0, 1], after each step.

    Raises:
        ValueError: no points, values that are not finite, noise levels out of order, or ``rtol``
            or ``max_steps`` out of range.

    Cost:
        Per step and point 6 times the products of the trace (``probes``, or dim for the exact
        trace), each counted as the derivative's ``evaluations``; about 15 steps in 64 dimensions
        for 1e-3 nats.
    """
    highest = noise.sigma_max if sigma_max is None else sigma_max
    _check(x, sigma, highest, rtol, max_steps)
    trace = ShiftedHutchPlusPlus() if trace is None else trace
    scale = noise.scale(sigma)
    y, count, dim = x / scale, trace.count, x.shape[1]
    if derivative is None:
        derivative = working_derivative(lambda z: noise.noise(z, sigma), y)
    flow = _Flow(noise, trace.draw(y), trace, derivative, sigma, highest)

    def size(state: State, error: State) -> float:
        reach = state[0].square().mean(1).sqrt()
        moved = error[0].square().mean(1).sqrt() / (rtol * (1 + reach))
        gained = error[1].mean(0).abs() / (rtol * dim)
        return float(torch.maximum(moved, gained).max())

    done = integrate(
        flow.rate, (y, y.new_zeros(count, len(y))), size, max_steps=max_steps, on_step=on_step
    )
    normal = Gaussian(torch.zeros(dim, dtype=y.dtype), noise.terminal_std(highest))
    final = normal if terminal is None else terminal
    time = torch.ones(len(y)).to(y)
    samples = done.state[1] + final.log_prob(time, done.state[0]) - dim * math.log(scale)
    result = _result(done, samples)
    spread = samples.std(0) / math.sqrt(count) if count > 1 else samples[0] * torch.nan
    drift = (final(time, done.state[0]) * done.error[0]).sum(1).abs()
    lost = torch.nan if result is not FlowResult.converged else 0.0
    return LogDensity(
        log_prob=samples.mean(0) + lost,
        standard_error=torch.zeros_like(samples[0]) if trace.exact else spread,
        solver_error=drift + done.error[1].mean(0),
        dim=dim,
        bin_width=bin_width,
        sigma=sigma,
        sigma_max=highest,
        trace=trace,
        derivative=derivative,
        result=result,
        steps=(done.steps, done.rejected),
        nfe=flow.nfe,
        batches=flow.batches,
    )


@dataclass
class _Flow:
    """The right-hand side in u, where log σ goes linearly from u = 0 to u = 1; counts its cost."""

    noise: NoiseField
    vectors: Tensor
    trace: Trace
    derivative: Derivative
    lowest: float
    highest: float
    nfe: int = 0
    batches: int = 0

    def sigma(self, u: float) -> float:
        if u <= 0 or u >= 1:  # exact, so that no rounding leaves the schedule
            return self.lowest if u <= 0 else self.highest
        return self.lowest * (self.highest / self.lowest) ** u

    def rate(self, u: float, state: State) -> State:
        y, sigma = state[0], self.sigma(u)
        values: list[Tensor] = []

        def product(v: Tensor) -> Tensor:
            rows = y.repeat(len(v), 1)  # forward mode wants memory of its own
            noise = partial(self.noise.noise, sigma=sigma)
            value, along = self.derivative(noise, rows, v.reshape(rows.shape))
            values.append(value[: len(y)])
            self.nfe += len(rows) * self.derivative.evaluations
            self.batches += 1
            return v - sigma * along.reshape(v.shape)

        traces = self.trace.samples(product, self.vectors)
        span = math.log(self.highest / self.lowest)
        return span * sigma * values[0], span * (y.shape[1] - traces)


def _result(done: Integration, samples: Tensor) -> FlowResult:
    if done.broken or not bool(torch.isfinite(samples).all()):
        return FlowResult.non_finite
    return FlowResult.converged if done.finished else FlowResult.max_steps


def _check(x: Tensor, sigma: float, highest: float, rtol: float, max_steps: int) -> None:
    if not len(x) or not x.shape[1] or not bool(torch.isfinite(x).all()):
        raise ValueError(
            f"got points of shape {tuple(x.shape)}; expected at least one, of finite coordinates"
        )
    if not 0 < sigma < highest < math.inf:
        raise ValueError(
            f"sigma is {sigma:g} and sigma_max {highest:g}; expected 0 < sigma < sigma_max"
        )
    if not (0 < rtol < 1 and max_steps >= 1):
        raise ValueError(f"rtol is {rtol} and max_steps {max_steps}; expected 0 < rtol < 1, ≥ 1")
