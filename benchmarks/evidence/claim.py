"""A sentence about the results, and how the numbers that it carries test it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

from benchmarks.evidence.numbers import percent

Data = dict[str, Any]
Found = Mapping[str, Data | None]


@final
@dataclass(frozen=True)
class Claim:
    """A sentence about the results.

    Args:
        says: the claim itself.
        numbers: what it rests on, with a place for each number by its name.
        find: the numbers, from the results.
        holds: whether they support the claim.
        show: how a number is written.
    """

    says: str
    numbers: str
    find: Callable[[Data], Found]
    holds: Callable[[Found], bool]
    show: Callable[[Data | None], str] = percent

    def read(self, data: Data) -> Data | None:
        """The claim as it is printed, and whether it holds; None where a number is missing."""
        found = self.find(data)
        if any(not v for v in found.values()):
            return None
        shown = {name: self.show(v) for name, v in found.items()}
        ours = data["ours"]
        return {
            "says": self.says.format(ours=ours),
            "holds": self.holds(found),
            "numbers": self.numbers.format(ours=ours, **shown),
        }
