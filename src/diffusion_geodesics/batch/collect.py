"""What is derived from a batch at any time: a table, a summary, a gallery."""

from __future__ import annotations

from pathlib import Path


def collect(out: Path) -> tuple[str, ...]:
    return ()
