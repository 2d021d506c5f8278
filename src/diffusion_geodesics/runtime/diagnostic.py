"""What must be known before a result is believed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import final


@final
@dataclass(frozen=True)
class Diagnostic:
    """One thing to know about a result."""

    code: str  # a short name for programs, such as ``"not_converged"``
    message: str
    """A sentence or two for people: what is the matter, and what to change."""
    data: Mapping[str, object] = field(default_factory=dict)
    """The numbers behind it."""

    def __str__(self) -> str:
        return self.message

    def as_dict(self) -> dict[str, object]:
        """Ready for JSON."""
        data = {"data": dict(self.data)} if self.data else {}
        return {"code": self.code, "message": self.message, **data}
