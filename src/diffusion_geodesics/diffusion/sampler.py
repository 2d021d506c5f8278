r"""Samplers as data: how one step goes from a rung of the ladder to the next, and how it is undone.

In $y = x/a$ and $\sigma = s/a$ the probability flow is $dy = \hat\varepsilon\,d\sigma$. A step from
$(a, s)$ to $(a', s')$ needs a noise $E$ or a clean latent $D$ that stands for the whole step:

$$x' = \tfrac{a'}{a}(x - s E) + s' E \qquad\text{or}\qquad
  x' = \tfrac{s'}{s}(x - a D) + a' D.$$

The same equation, solved for $x$ by fixed-point iteration, undoes the step. With $\lambda = \log
(a/s)$, and $D_-$ and $E_-$ the estimates one rung further up:

| sampler | $E$ or $D$ | order | rows a step |
|---|---|---|---|
| `DDIM` | $E = \hat\varepsilon(x, t)$ | 1 | 1 |
| `Heun` | $E = \frac12(\hat\varepsilon(x, t) + \hat\varepsilon(x'_{DDIM}, t'))$ | 2 | 2, last 1 |
| `DPMSolver` | $D = \hat x_0 + r(\hat x_0 - D_-)$, $r$ in $\lambda$ | 2 | 1 |
| `LMS` | $E = \hat\varepsilon + r(\hat\varepsilon - E_-)$, $r$ in $\sigma$ | 2 | 1 |

with $r = (\lambda' - \lambda) / 2(\lambda - \lambda_-)$ and the like in $\sigma$.

Where $a = 0$ (pure noise) or $s' = 0$ (the clean end) a second-order step is taken at first order,
since $\sigma$ or $\lambda$ is infinite there. Steps may be of any length and schedules of any kind.

References: Song et al., arXiv 2010.02502 (DDIM). Karras et al., arXiv 2206.00364, algorithm 1
(Heun). Lu et al., arXiv 2211.01095, algorithm 2 (DPM-Solver++ 2M). Hong et al., arXiv 2311.18387
(undoing DPM-Solvers).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from diffusion_geodesics.diffusion.prediction import Rows


@final
@dataclass(frozen=True)
class Guess:
    """What the network says at a point: the clean latent and the noise in it."""

    clean: Rows
    noise: Rows


@final
@dataclass(frozen=True)
class Rung:
    """A noise level of the ladder: `timestep` (None at the clean end), and $(a, s)$ there."""

    timestep: float | None
    a: float
    s: float

    @property
    def log_ratio(self) -> float:
        r"""$\lambda = \log(a/s)$; infinite for pure noise and for clean latents."""
        if self.a <= 0.0:
            return -math.inf
        return math.inf if self.s <= 0.0 else math.log(self.a / self.s)


@final
@dataclass(frozen=True)
class Memory:
    """What the network guessed one rung above or below, and that rung."""

    guess: Guess
    rung: Rung


@final
@dataclass(frozen=True)
class Step:
    """A step from the rung `here` to the next cleaner rung `there`.

    - `above`: what the network guessed one rung above, if it is known. Undoing a step without it,
      a symmetric rule of the same order stands in.
    - `below`: what it guessed one rung below, for undoing, if there is one.
    """

    here: Rung
    there: Rung
    above: Memory | None = None
    below: Memory | None = None

    def euler(self, guess: Guess) -> Rows:
        """The end of the step, by one guess."""
        return self.there.a * guess.clean + self.there.s * guess.noise


Field = Callable[[Rows, float], Guess]
"""The network at points and a time step."""


class Sampler(ABC):
    """A rule for one step of the probability flow."""

    @property
    def sweeps(self) -> int:
        """How often inversion walks up the ladder; more than once for a sampler with a memory."""
        return 1

    def evaluations(self, last: bool) -> int:
        """Network evaluations that one step of one latent takes; `last`: to the clean end."""
        return 1

    @final
    def step(self, field: Field, x: Rows, step: Step) -> tuple[Rows, Guess]:
        """The latents where a step from `x` ends, and the network's guess at `x`."""
        guess = field(x, _timestep(step.here))
        return self._end(field, x, guess, step), guess

    @final
    def undo(self, field: Field, x: Rows, end: Rows, step: Step) -> tuple[Rows, Guess]:
        """One fixed-point iteration for the latents `x` whose step ends in `end`: the next guess
        of them, and the network's at the former one."""
        guess = field(x, _timestep(step.here))
        return self._start(field, guess, end, step), guess

    @abstractmethod
    def _end(self, field: Field, x: Rows, guess: Guess, step: Step) -> Rows:
        """Where the step from `x` ends, with the network's guess at `x`."""

    @abstractmethod
    def _start(self, field: Field, guess: Guess, end: Rows, step: Step) -> Rows:
        """Where a step to `end` begins, by the network's guess at the start supposed so far."""


def _by_noise(x: Rows, noise: Rows, start: Rung, end: Rung) -> Rows:
    """x at `end`, from x at `start` along one noise; either way along the ladder."""
    ratio = end.a / start.a
    return ratio * x + (end.s - start.s * ratio) * noise


def _timestep(rung: Rung) -> float:
    if rung.timestep is None:
        raise ValueError("got the clean end as a rung to evaluate the network at; it has no noise")
    return rung.timestep


@final
@dataclass(frozen=True)
class DDIM(Sampler):
    """First order: the noise at the start of the step stands for all of it."""

    def _end(self, field: Field, x: Rows, guess: Guess, step: Step) -> Rows:
        return step.euler(guess)

    def _start(self, field: Field, guess: Guess, end: Rows, step: Step) -> Rows:
        return _by_noise(end, guess.noise, step.there, step.here)


@final
@dataclass(frozen=True)
class Heun(Sampler):
    """Second order: the mean of the noises at the start and at the end of a DDIM step."""

    def evaluations(self, last: bool) -> int:
        return 1 if last else 2

    def _end(self, field: Field, x: Rows, guess: Guess, step: Step) -> Rows:
        if not self._second_order(step):
            return step.euler(guess)
        return _by_noise(x, self._mean(field, guess, step), step.here, step.there)

    def _start(self, field: Field, guess: Guess, end: Rows, step: Step) -> Rows:
        noise = self._mean(field, guess, step) if self._second_order(step) else guess.noise
        return _by_noise(end, noise, step.there, step.here)

    def _second_order(self, step: Step) -> bool:
        return step.there.timestep is not None and step.here.a > 0.0

    def _mean(self, field: Field, guess: Guess, step: Step) -> Rows:
        there = field(step.euler(guess), _timestep(step.there))
        return 0.5 * (guess.noise + there.noise)


@final
@dataclass(frozen=True)
class DPMSolver(Sampler):
    r"""DPM-Solver++ (2M): second order at one row a step, by the clean estimate of the step before.

    **Sampling does not quite undo its inversion.** The estimate $D_-$ of the rung above is not
    known on the way up, and where $\lambda$ takes long steps towards the clean end (as on Stable
    Diffusion's grids) an iteration for it diverges. The inversion takes the symmetric rule of the
    same order, $D = \frac12(\hat x_0 + \hat x_0')$, instead. `LMS` has an exact inverse.
    """

    def _end(self, field: Field, x: Rows, guess: Guess, step: Step) -> Rows:
        here, there, clean = step.here, step.there, guess.clean
        if step.above is not None:
            clean = clean + _lead(step.above.rung, here, there) * (clean - step.above.guess.clean)
        ratio = there.s / here.s
        return ratio * x + (there.a - here.a * ratio) * clean

    def _start(self, field: Field, guess: Guess, end: Rows, step: Step) -> Rows:
        here, there = step.here, step.there
        if step.below is not None and there.s > 0.0:
            # In the noise, where the iteration contracts, with the bend as a correction.
            bend = 0.5 * (step.below.guess.clean - guess.clean)
            end = end - (there.a - here.a * there.s / here.s) * bend
        return _by_noise(end, guess.noise, there, here)


@final
@dataclass(frozen=True)
class LMS(Sampler):
    r"""Linear multistep (Adams-Bashforth) in $\sigma$: second order at one row a step.

    Undoing it needs the noise of the rung *above*, which inversion has not reached yet. The first
    walk up takes the symmetric rule of the same order, $E = \frac12(\hat\varepsilon +
    \hat\varepsilon')$; every further one takes what the walk before found, and comes closer to the
    exact inverse.

    - `walks`: how often inversion walks up the ladder, at least 1. One is enough for images:
      it loses 0.03 dB at 25 steps (see `docs/endpoints.md`).
    """

    walks: int = 1

    def __post_init__(self) -> None:
        if self.walks < 1:
            raise ValueError(f"got {self.walks} walks; expected at least 1")

    @property
    def sweeps(self) -> int:
        return self.walks

    def _end(self, field: Field, x: Rows, guess: Guess, step: Step) -> Rows:
        if step.above is None or step.above.rung.a <= 0.0:
            return step.euler(guess)
        return _by_noise(x, _extrapolated(guess, step.above, step), step.here, step.there)

    def _start(self, field: Field, guess: Guess, end: Rows, step: Step) -> Rows:
        noise, above, below = guess.noise, step.above, step.below
        if above is not None and above.rung.a > 0.0:
            noise = _extrapolated(guess, above, step)
        elif above is None and below is not None and step.here.a > 0.0:
            noise = 0.5 * (noise + below.guess.noise)
        return _by_noise(end, noise, step.there, step.here)


def _extrapolated(guess: Guess, above: Memory, step: Step) -> Rows:
    r"""The noise at the middle of the step in $\sigma$, from here and from the rung above."""
    before, here, there = (rung.s / rung.a for rung in (above.rung, step.here, step.there))
    lead = 0.5 * (there - here) / (here - before)
    return guess.noise + lead * (guess.noise - above.guess.noise)


def _lead(above: Rung, here: Rung, there: Rung) -> float:
    r"""$(\lambda' - \lambda) / 2(\lambda - \lambda_-)$, or 0 where one of them is infinite."""
    ahead, behind = there.log_ratio - here.log_ratio, here.log_ratio - above.log_ratio
    if not (math.isfinite(ahead) and math.isfinite(behind)):
        return 0.0
    return 0.5 * ahead / behind
