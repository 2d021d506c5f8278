"""Text that any terminal or file can take."""

from __future__ import annotations

import io
import sys


def make_printable() -> None:
    """Let the standard streams write any text, whatever their encoding: characters that it lacks
    are replaced, and bytes of file names that are no text are shown escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def printable(text: str) -> str:
    """The text with bytes that are no text (in file names) shown as ``\\xe9``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
