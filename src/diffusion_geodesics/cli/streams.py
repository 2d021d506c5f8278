"""Streams that take any text."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress


def make_printable() -> None:
    """Let the standard streams write any text, whatever their encoding: characters that it lacks
    are replaced. What is written to a stream that is closed goes nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def end_output() -> None:
    """Print what waits; where the output can no longer be written to, send it nowhere, so that
    Python does not complain at the end as well."""
    try:
        sys.stdout.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        with suppress(OSError):
            os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
