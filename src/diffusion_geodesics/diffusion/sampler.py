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

from jaxtyping import Float
from torch import Tensor

__all__ = ["DDIM", "LMS", "DPMSolver", "Field", "Guess", "Heun", "Memory", "Rung", "Sampler"]


@final
@dataclass(frozen=True)
class Guess:
    """What the network says at a point: the clean latent and the noise in it."""

    clean: Float[Tensor, "rows dim"]
    noise: Float[Tensor, "rows dim"]


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


Field = Callable[[Tensor, float], Guess]
"""The network at points (rows, dim) and a time step."""


class Sampler(ABC):
    """A rule for one step of the probability flow."""

    @property
    @abstractmethod
    def sweeps(self) -> int:
        """How often inversion walks up the ladder; more than once for a sampler with a memory."""

    @abstractmethod
    def evaluations(self, last: bool) -> int:
        """Network rows that one step of one latent takes; `last` for the step to the clean end."""

    @abstractmethod
    def step(
        self,
        field: Field,
        x: Float[Tensor, "rows dim"],
        here: Rung,
        there: Rung,
        above: Memory | None,
    ) -> tuple[Float[Tensor, "rows dim"], Guess]:
        """From `x` at `here` to the next cleaner rung `there`.

        `above` is what the network guessed at the rung before, if there was one. Returns the
        next latents and the guess at `x`.
        """

    @abstractmethod
    def undo(
        self,
        field: Field,
        x: Float[Tensor, "rows dim"],
        there: Float[Tensor, "rows dim"],
        rungs: tuple[Rung, Rung],
        below: Memory | None,
        above: Memory | None,
    ) -> tuple[Float[Tensor, "rows dim"], Guess]:
        """One fixed-point iteration for the latents `x` whose step ends in `there`.

        - `rungs`: (here, there), as in `step`; `x` is the guess so far.
        - `below`: what the network guessed one rung below, if there is one.
        - `above`: the same one rung above, if it is known; without it a symmetric rule of the
          same order stands in. None at the top rung, where sampling has no memory either.

        Returns the next guess and the network's at the former one.
        """


def _by_noise(x: Tensor, noise: Tensor, start: Rung, end: Rung) -> Tensor:
    """x at `end`, from x at `start` along one noise; either way along the ladder."""
    ratio = end.a / start.a
    return ratio * x + (end.s - start.s * ratio) * noise


def _by_clean(x: Tensor, clean: Tensor, start: Rung, end: Rung) -> Tensor:
    """x at `end`, from x at `start` towards one clean latent; either way along the ladder."""
    ratio = end.s / start.s
    return ratio * x + (end.a - start.a * ratio) * clean


def _euler(guess: Guess, there: Rung) -> Tensor:
    return there.a * guess.clean + there.s * guess.noise


def _timestep(rung: Rung) -> float:
    if rung.timestep is None:
        raise ValueError("got the clean end as a rung to evaluate the network at; it has no noise")
    return rung.timestep


@final
@dataclass(frozen=True)
class DDIM(Sampler):
    """First order: the noise at the start of the step stands for all of it."""

    @property
    def sweeps(self) -> int:
        return 1

    def evaluations(self, last: bool) -> int:
        return 1

    def step(
        self,
        field: Field,
        x: Float[Tensor, "rows dim"],
        here: Rung,
        there: Rung,
        above: Memory | None,
    ) -> tuple[Float[Tensor, "rows dim"], Guess]:
        guess = field(x, _timestep(here))
        return _euler(guess, there), guess

    def undo(
        self,
        field: Field,
        x: Float[Tensor, "rows dim"],
        there: Float[Tensor, "rows dim"],
        rungs: tuple[Rung, Rung],
        below: Memory | None,
        above: Memory | None,
    ) -> tuple[Float[Tensor, "rows dim"], Guess]:
        here, end = rungs
        guess = field(x, _timestep(here))
        return _by_noise(there, guess.noise, end, here), guess


@final
@dataclass(frozen=True)
class Heun(Sampler):
    """Second order: the mean of the noises at the start and at the end of a DDIM step."""

    @property
    def sweeps(self) -> int:
        return 1

    def evaluations(self, last: bool) -> int:
        return 1 if last else 2

    def step(
        self,
        field: Field,
        x: Float[Tensor, "rows dim"],
        here: Rung,
        there: Rung,
        above: Memory | None,
    ) -> tuple[Float[Tensor, "rows dim"], Guess]:
        guess = field(x, _timestep(here))
        guessed = _euler(guess, there)
        if there.timestep is None or here.a <= 0.0:
            return guessed, guess
        noise = 0.5 * (guess.noise + field(guessed, there.timestep).noise)
        return _by_noise(x, noise, here, there), guess

    def undo(
        self,
        field: Field,
        x: Float[Tensor, "rows dim"],
        there: Float[Tensor, "rows dim"],
        rungs: tuple[Rung, Rung],
        below: Memory | None,
        above: Memory | None,
    ) -> tuple[Float[Tensor, "rows dim"], Guess]:
        here, end = rungs
        guess = field(x, _timestep(here))
        noise = guess.noise
        if end.timestep is not None and here.a > 0.0:
            noise = 0.5 * (noise + field(_euler(guess, end), end.timestep).noise)
        return _by_noise(there, noise, end, here), guess


@final
@dataclass(frozen=True)
class DPMSolver(Sampler):
    r"""DPM-Solver++ (2M): second order at one row a step, by the clean estimate of the step before.

    **Sampling does not quite undo its inversion.** The estimate $D_-$ of the rung above is not
    known on the way up, and where $\lambda$ takes long steps towards the clean end (as on Stable
    Diffusion's grids) an iteration for it diverges. The inversion takes the symmetric rule of the
    same order, $D = \frac12(\hat x_0 + \hat x_0')$, instead. `LMS` has an exact inverse.
    """

    @property
    def sweeps(self) -> int:
        return 1

    def evaluations(self, last: bool) -> int:
        return 1

    def step(
        self,
        field: Field,
        x: Float[Tensor, "rows dim"],
        here: Rung,
        there: Rung,
        above: Memory | None,
    ) -> tuple[Float[Tensor, "rows dim"], Guess]:
        guess = field(x, _timestep(here))
        clean = guess.clean
        if above is not None:
            clean = clean + _lead(above.rung, here, there) * (clean - above.guess.clean)
        return _by_clean(x, clean, here, there), guess

    def undo(
        self,
        field: Field,
        x: Float[Tensor, "rows dim"],
        there: Float[Tensor, "rows dim"],
        rungs: tuple[Rung, Rung],
        below: Memory | None,
        above: Memory | None,
    ) -> tuple[Float[Tensor, "rows dim"], Guess]:
        here, end = rungs
        guess = field(x, _timestep(here))
        if below is None or end.s <= 0.0:
            return _by_noise(there, guess.noise, end, here), guess
        bend = 0.5 * (below.guess.clean - guess.clean)
        # In the noise, where the iteration contracts, with the bend as a correction.
        start = there - (end.a - here.a * end.s / here.s) * bend
        return _by_noise(start, guess.noise, end, here), guess


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

    def evaluations(self, last: bool) -> int:
        return 1

    def step(
        self,
        field: Field,
        x: Float[Tensor, "rows dim"],
        here: Rung,
        there: Rung,
        above: Memory | None,
    ) -> tuple[Float[Tensor, "rows dim"], Guess]:
        guess = field(x, _timestep(here))
        if above is None or above.rung.a <= 0.0:
            return _euler(guess, there), guess
        return _by_noise(x, _extrapolated(guess, above, here, there), here, there), guess

    def undo(
        self,
        field: Field,
        x: Float[Tensor, "rows dim"],
        there: Float[Tensor, "rows dim"],
        rungs: tuple[Rung, Rung],
        below: Memory | None,
        above: Memory | None,
    ) -> tuple[Float[Tensor, "rows dim"], Guess]:
        here, end = rungs
        guess = field(x, _timestep(here))
        noise = guess.noise
        if above is not None and above.rung.a > 0.0:
            noise = _extrapolated(guess, above, here, end)
        elif above is None and below is not None and here.a > 0.0:
            noise = 0.5 * (noise + below.guess.noise)
        return _by_noise(there, noise, end, here), guess


def _extrapolated(guess: Guess, above: Memory, here: Rung, there: Rung) -> Tensor:
    r"""The noise at the middle of the step in $\sigma$, from here and from the rung above."""
    ratio = [rung.s / rung.a for rung in (above.rung, here, there)]
    lead = 0.5 * (ratio[2] - ratio[1]) / (ratio[1] - ratio[0])
    return guess.noise + lead * (guess.noise - above.guess.noise)


def _lead(above: Rung, here: Rung, there: Rung) -> float:
    r"""$(\lambda' - \lambda) / 2(\lambda - \lambda_-)$, or 0 where one of them is infinite."""
    ahead, behind = there.log_ratio - here.log_ratio, here.log_ratio - above.log_ratio
    if not (math.isfinite(ahead) and math.isfinite(behind)):
        return 0.0
    return 0.5 * ahead / behind
