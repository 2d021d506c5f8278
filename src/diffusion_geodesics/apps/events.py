"""What an app tells while it works, for progress bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Progress of one stage.

    Args:
        stage: its name.
        done: steps done.
        of: steps in all; 0 where that is not known.
        detail: live figures, in a few words.
    """

    stage: str
    done: int
    of: int
    detail: str = ""


OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """Tell nobody."""
