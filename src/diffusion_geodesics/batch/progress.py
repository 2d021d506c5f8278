"""How far a batch is, over all workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import final

from diffusion_geodesics.batch.worker import Outcome, Status


@final
@dataclass(frozen=True)
class BatchProgress:
    """How far a batch is."""

    total: int  # pairs in all
    before: int = 0  # finished when it was started
    done: int = 0  # finished since, by this process or another
    failed: int = 0  # written off
    workers: int = 0  # that compute
    seconds: float = 0.0  # since the first pair was begun
    slowest: tuple[str, float] = ("", 0.0)  # the pair that took longest, and its seconds
    names: tuple[tuple[str, str], ...] = ()  # failed pairs with the reason, the last few

    @property
    def settled(self) -> int:
        """Pairs that need nothing more."""
        return self.before + self.done + self.failed

    @property
    def pairs_per_minute(self) -> float:
        """Since the start; 0 where that is not known yet."""
        return 60 * (self.done + self.failed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At the same rate; None where that is not known yet."""
        rate = self.pairs_per_minute
        return 60 * (self.total - self.settled) / rate if rate > 0 else None

    def after(self, outcome: Outcome) -> BatchProgress:
        """The progress after a pair is settled."""
        if outcome.status is Status.FAILED:
            names = (*self.names, (outcome.pair.name, outcome.reason))[-20:]
            return replace(self, failed=self.failed + 1, names=names)
        slowest = max(self.slowest, (outcome.pair.name, outcome.seconds), key=lambda s: s[1])
        return replace(self, done=self.done + 1, slowest=slowest)


BatchObserver = Callable[[BatchProgress], None]
"""Called whenever something has changed, and about once a second."""
