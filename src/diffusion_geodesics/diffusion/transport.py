r"""Between clean latents and a noise level: deterministic DDIM, both ways on the same grid.

In $y = x/a$ and $\sigma = s/a$ the probability flow is $dy = \hat\varepsilon\, d\sigma$, and DDIM
(Song et al., arXiv 2010.02502) is Euler's method for it. Sampling steps from rung $t$ to the
next lower $t'$ with the noise predicted at $t$:

$$x_{t'} = a_{t'} \hat x_0(x_t, t) + s_{t'} \hat\varepsilon(x_t, t).$$

Inversion solves the same equation for $x_t$, so that sampling undoes it.
"""

import math
import time
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion.condition import Condition
from diffusion_geodesics.diffusion.cost import Cost
from diffusion_geodesics.diffusion.denoiser import Denoiser

__all__ = ["OnStep", "guidance_bump", "invert", "sample"]

OnStep = Callable[[int, int], None]


def invert(
    denoiser: Denoiser,
    x0: Float[Tensor, "rows dim"],
    condition: Condition,
    *,
    steps: int,
    level: float,
    refinements: int = 4,
    tolerance: float = 3e-3,
    on_step: OnStep | None = None,
) -> tuple[Float[Tensor, "rows dim"], Cost]:
    r"""Clean latents carried up to a noise level, deterministically, at guidance 1.

    Each rung solves $x_t = \frac{a_t}{a_{t'}}(x_{t'} - s_{t'} e) + s_t e$ with
    $e = \hat\varepsilon(x_t, t)$ by fixed-point iteration. The first guess moves with the noise of
    the rung below, which makes one evaluation a rung already second-order exact with respect to
    `sample` (the usual inversion is first-order); every refinement adds an order. Latents that
    have settled are left out of further ones: most rungs need none, the first few some.

    - `x0`: clean latents; `condition`: one row, or one an image.
    - `steps`, `level`: the grid, as in `NoiseSchedule.ladder`.
    - `refinements`: at most so many further evaluations a rung and latent, 0 or more.
    - `tolerance`: a latent has settled when an evaluation moved it by less (root mean square);
      0 to refine to the last. One that moves further than before is let be.
    - `on_step(done, of)`: called after each rung.

    Returns the latents at the level and the cost: `rows * rungs` rows and those refined.
    """
    if refinements < 0:
        raise ValueError(f"got {refinements} refinements; expected 0 or more")
    started = time.perf_counter()
    schedule = denoiser.schedule
    rungs = schedule.ladder(steps, level)[::-1]
    condition = condition.expand(x0.shape[0])
    x, noise, (a, s) = x0, None, schedule.clean
    rows = calls = 0
    for done, timestep in enumerate(rungs, start=1):
        a_next, s_next = schedule.coefficients(timestep)
        ratio, gain = a_next / a, s_next - s * a_next / a
        guess = x.clone() if noise is None else ratio * x + gain * noise
        noise = torch.empty_like(x)
        moving = torch.arange(x.shape[0], device=x.device)
        moved = torch.full_like(x[:, 0], math.inf)
        for _ in range(1 + refinements):
            some = condition.take(moving.to(condition.parts[0].device))
            noise[moving] = denoiser.epsilon(guess[moving], timestep, some)
            better = ratio * x[moving] + gain * noise[moving]
            change = (better - guess[moving]).square().mean(dim=1).sqrt()
            guess[moving] = better
            rows, calls = rows + len(moving), calls + 1
            unsettled = (change > tolerance) & (change < moved)
            moving, moved = moving[unsettled], change[unsettled]
            if not len(moving):
                break
        x, a, s = guess, a_next, s_next
        if on_step is not None:
            on_step(done, len(rungs))
    return x, Cost(rows, calls, time.perf_counter() - started)


def sample(
    denoiser: Denoiser,
    x: Float[Tensor, "rows dim"],
    condition: Condition,
    *,
    steps: int,
    level: float,
    negative: Condition | None = None,
    guidance: float | Float[Tensor, " rows"] = 1.0,
    on_step: OnStep | None = None,
) -> tuple[Float[Tensor, "rows dim"], Cost]:
    r"""Latents at a noise level carried down to clean ones by DDIM with eta = 0.

    - `x`: latents at the level; `condition`, `negative`: one row, or one a latent.
    - `steps`, `level`: the grid, as in `NoiseSchedule.ladder`; level 1 starts from pure noise.
    - `guidance`: weight w of classifier-free guidance, one for all or one a row; needs
      `negative` wherever it is not 1.
    - `on_step(done, of)`: called after each step.

    Rows of weight 1 need no negative half and rows of weight 0 no conditional one; they are
    left out, and what remains goes in one call a step. Returns clean latents and the cost.
    """
    started = time.perf_counter()
    schedule = denoiser.schedule
    rungs = schedule.ladder(steps, level)
    guided = _Guidance(x, condition, negative, guidance)
    for done, timestep in enumerate(rungs, start=1):
        a, s = schedule.coefficients(timestep)
        last = done == len(rungs)
        a_next, s_next = schedule.clean if last else schedule.coefficients(rungs[done])
        output = guided.output(denoiser, x, timestep)
        clean = denoiser.prediction.clean(output, x, a, s)
        x = a_next * clean + s_next * denoiser.prediction.epsilon(output, x, a, s)
        if on_step is not None:
            on_step(done, len(rungs))
    cost = Cost(guided.rows * len(rungs), len(rungs), time.perf_counter() - started)
    return x, cost


def guidance_bump(t: Float[Tensor, " rows"], strength: float) -> Float[Tensor, " rows"]:
    r"""$1 + (g - 1) \sin \pi t$: guidance `strength` g half-way, exactly 1 at both ends."""
    bump = torch.sin(math.pi * t).where((t > 0) & (t < 1), torch.zeros_like(t))
    return 1.0 + (strength - 1.0) * bump


class _Guidance:
    """Which rows need which condition, worked out once for all steps."""

    def __init__(
        self,
        x: Tensor,
        condition: Condition,
        negative: Condition | None,
        guidance: float | Tensor,
    ) -> None:
        count = x.shape[0]
        weight = torch.as_tensor(guidance, dtype=x.dtype, device=x.device).expand(count)
        if not bool(weight.isfinite().all()):
            raise ValueError("got a guidance weight that is not finite")
        self.weight = weight[:, None]
        self.given = torch.nonzero(weight != 0.0).flatten()
        self.without = torch.nonzero(weight != 1.0).flatten()
        parts = [(self.given, condition)]
        if len(self.without):
            if negative is None:
                raise ValueError(
                    "got guidance other than 1 and no negative condition; pass "
                    "negative=model.encode_prompt('') for classifier-free guidance"
                )
            parts.append((self.without, negative))
        self.index = torch.cat([index for index, _ in parts])
        self.condition = Condition.stack(
            [c.expand(count).take(index.to(c.parts[0].device)) for index, c in parts if len(index)]
        )

    @property
    def rows(self) -> int:
        return len(self.index)

    def output(self, denoiser: Denoiser, x: Tensor, timestep: float) -> Tensor:
        """The guided output, from one call that holds only the rows needed."""
        value = denoiser.output(x[self.index], timestep, self.condition)
        given, without = torch.zeros_like(x), torch.zeros_like(x)
        given[self.given], without[self.without] = value.split([len(self.given), len(self.without)])
        guided = without + self.weight * (given - without)
        return torch.where(self.weight == 1.0, given, guided)
