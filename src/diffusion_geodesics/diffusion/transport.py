r"""Between clean latents and a noise level: deterministic, both ways on the same grid.

Sampling walks down the ladder of a noise schedule with the steps of a [`Sampler`]
[diffusion_geodesics.diffusion.sampler]; inversion solves the same steps for their starts, so that
sampling undoes it.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from diffusion_geodesics.diffusion.condition import Condition
from diffusion_geodesics.diffusion.denoiser import Denoiser
from diffusion_geodesics.diffusion.prediction import Rows
from diffusion_geodesics.diffusion.sampler import DDIM, Field, Guess, Memory, Rung, Sampler, Step
from diffusion_geodesics.diffusion.schedule import NoiseSchedule
from diffusion_geodesics.points import seeded_noise

OnStep = Callable[[int, int], None]


def rungs_of(schedule: NoiseSchedule, steps: int, level: float) -> tuple[Rung, ...]:
    """The ladder with $(a, s)$ at every rung, noisiest first; the clean end comes last."""
    noisy = [Rung(t, *schedule.coefficients(t)) for t in schedule.ladder(steps, level)]
    return (*noisy, Rung(None, *schedule.clean))


def invert(
    denoiser: Denoiser,
    x0: Rows,
    condition: Condition,
    *,
    steps: int,
    level: float,
    sampler: Sampler | None = None,
    refinements: int = 4,
    tolerance: float = 3e-3,
    start_noise: float = 0.0,
    on_step: OnStep | None = None,
) -> Rows:
    r"""Clean latents carried up to a noise level, deterministically, at guidance 1.

    Each rung solves the sampler's step for its start by fixed-point iteration; DDIM's is
    $x_t = \frac{a_t}{a_{t'}}(x_{t'} - s_{t'} e) + s_t e$ with $e = \hat\varepsilon(x_t, t)$. The
    first guess moves with the noise of the rung below, which makes one evaluation a rung already
    second-order exact with respect to `sample` (the usual inversion is first-order); every
    refinement adds an order. Latents that have settled are left out of further ones: most rungs
    need none, the first few some.

    - `x0`: clean latents; `condition`: one row, or one an image.
    - `steps`, `level`: the grid, as in `NoiseSchedule.ladder`.
    - `sampler`: what will undo it; `DDIM` by default.
    - `refinements`: at most so many further evaluations a rung and latent, 0 or more.
    - `tolerance`: a latent has settled when an evaluation moved it by less (root mean square);
      0 to refine to the last. One that moves further than before is let be.
    - `start_noise`: noise-to-signal ratio of noise put on the clean latents first, the same for
      all (seed 0); the inversion then begins at the lowest rung that has as much. For networks
      that find no noise in clean data.
    - `on_step(done, of)`: called after each rung.

    Returns the latents at the level. Cost: `rows * rungs` evaluations and those refined, times
    the sampler's evaluations a step and sweeps.
    """
    if refinements < 0:
        raise ValueError(f"got {refinements} refinements; expected 0 or more")
    sampler = sampler or DDIM()
    rungs = rungs_of(denoiser.schedule, steps, level)
    if start_noise:
        rungs, x0 = _started(rungs, x0, start_noise)
    condition = condition.expand(x0.shape[0])
    count = len(rungs) - 1
    known: list[tuple[Rows, Guess] | None] = [None] * count
    x = x0
    for sweep in range(sampler.sweeps):
        x = x0
        for done, index in enumerate(reversed(range(count)), start=1):
            here, there = rungs[index], rungs[index + 1]
            lower = known[index + 1] if index + 1 < count else None
            upper = known[index - 1] if index > 0 and sweep else None
            former = known[index]
            if former is not None:
                guess = former[0].clone()
            elif lower is None:
                guess = x.clone()
            else:
                ratio = here.a / there.a
                guess = ratio * x + (here.s - there.s * ratio) * lower[1].noise
            below = None if lower is None or index == 0 else Memory(lower[1], there)
            above = None if upper is None else Memory(upper[1], rungs[index - 1])
            step = Step(here, there, above, below)
            x, told = _settle(sampler, denoiser, condition, guess, x, step, refinements, tolerance)
            known[index] = (x, told)
            if on_step is not None:
                on_step(sweep * count + done, sampler.sweeps * count)
    return x


def _started(rungs: tuple[Rung, ...], x0: Rows, ratio: float) -> tuple[tuple[Rung, ...], Rows]:
    """The rungs from the lowest one with a noise-to-signal ratio on, and latents noised to it."""
    enough = [k for k, rung in enumerate(rungs[:-1]) if rung.s >= ratio * rung.a]
    if ratio < 0 or not enough:
        most = rungs[0].s / rungs[0].a
        raise ValueError(
            f"got start noise {ratio:g}; expected a noise-to-signal ratio between 0 and that of "
            f"the level, {most:.3g}"
        )
    last = rungs[enough[-1]]
    noise = seeded_noise(x0.shape[1:], 0, x0)
    return rungs[: enough[-1] + 1], last.a * x0 + last.s * noise


def _settle(
    sampler: Sampler,
    denoiser: Denoiser,
    condition: Condition,
    guess: Rows,
    end: Rows,
    step: Step,
    refinements: int,
    tolerance: float,
) -> tuple[Rows, Guess]:
    """Fixed-point iterations at one rung, for the latents that still move."""
    clean, noise = torch.empty_like(guess), torch.empty_like(guess)
    moving = torch.arange(guess.shape[0], device=guess.device)
    moved = torch.full_like(guess[:, 0], math.inf)
    for _ in range(1 + refinements):
        some = condition.take(moving.to(condition.parts[0].device))
        partial = replace(step, above=_some(step.above, moving), below=_some(step.below, moving))
        better, told = sampler.undo(_field(denoiser, some), guess[moving], end[moving], partial)
        clean[moving], noise[moving] = told.clean, told.noise
        change = (better - guess[moving]).square().mean(dim=1).sqrt()
        guess[moving] = better
        unsettled = (change > tolerance) & (change < moved)
        moving, moved = moving[unsettled], change[unsettled]
        if not len(moving):
            break
    return guess, Guess(clean, noise)


def _some(memory: Memory | None, index: Tensor) -> Memory | None:
    if memory is None:
        return None
    return Memory(Guess(memory.guess.clean[index], memory.guess.noise[index]), memory.rung)


def _field(denoiser: Denoiser, condition: "Condition | _Guidance") -> Field:
    """The network, with one condition a row or guided, as a vector field."""

    def field(x: Rows, timestep: float) -> Guess:
        if isinstance(condition, Condition):
            output = denoiser.output(x, timestep, condition)
        else:
            output = condition.output(denoiser, x, timestep)
        a, s = denoiser.schedule.coefficients(timestep)
        read = denoiser.prediction
        return Guess(read.clean(output, x, a, s), read.epsilon(output, x, a, s))

    return field


def sample(
    denoiser: Denoiser,
    x: Rows,
    condition: Condition,
    *,
    steps: int,
    level: float,
    sampler: Sampler | None = None,
    negative: Condition | None = None,
    guidance: float | Float[Tensor, " rows"] = 1.0,
    on_step: OnStep | None = None,
) -> Rows:
    r"""Latents at a noise level carried down to clean ones, deterministically.

    - `x`: latents at the level; `condition`, `negative`: one row, or one a latent.
    - `steps`, `level`: the grid, as in `NoiseSchedule.ladder`; level 1 starts from pure noise.
    - `sampler`: the rule of a step; `DDIM` by default.
    - `guidance`: weight w of classifier-free guidance, one for all or one a row; needs
      `negative` wherever it is not 1.
    - `on_step(done, of)`: called after each step.

    Rows of weight 1 need no negative half and rows of weight 0 no conditional one; they are
    left out, and what remains goes in one batch an evaluation. Returns clean latents. Cost:
    `sampling_nfe` evaluations.
    """
    sampler = sampler or DDIM()
    rungs = rungs_of(denoiser.schedule, steps, level)
    field = _field(denoiser, _Guidance(x, condition, negative, guidance))
    above: Memory | None = None
    for done, (here, there) in enumerate(pairwise(rungs), start=1):
        x, told = sampler.step(field, x, Step(here, there, above))
        above = Memory(told, here)
        if on_step is not None:
            on_step(done, len(rungs) - 1)
    return x


def sampling_nfe(sampler: Sampler, rungs: int, guidance: Float[Tensor, " rows"]) -> int:
    """Network evaluations that `sample` takes for latents of these guidance weights."""
    each = int((guidance != 0).sum() + (guidance != 1).sum())
    calls = sum(sampler.evaluations(last=k == rungs - 1) for k in range(rungs))
    return each * calls


def guidance_bump(t: Float[Tensor, " rows"], strength: float) -> Float[Tensor, " rows"]:
    r"""$1 + (g - 1) \sin \pi t$: guidance `strength` g half-way, exactly 1 at both ends."""
    bump = torch.sin(math.pi * t).where((t > 0) & (t < 1), torch.zeros_like(t))
    return 1.0 + (strength - 1.0) * bump


class _Guidance:
    """Which rows need which condition, worked out once for all steps."""

    def __init__(
        self, x: Tensor, condition: Condition, negative: Condition | None, guidance: float | Tensor
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

    def output(self, denoiser: Denoiser, x: Rows, timestep: float) -> Rows:
        """The guided output, from one call that holds only the rows needed."""
        value = denoiser.output(x[self.index], timestep, self.condition)
        given, without = torch.zeros_like(x), torch.zeros_like(x)
        given[self.given], without[self.without] = value.split([len(self.given), len(self.without)])
        guided = without + self.weight * (given - without)
        return torch.where(self.weight == 1.0, given, guided)
