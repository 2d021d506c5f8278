"""What is said when a command fails: one line, and the traceback in a file where it is a defect."""

from __future__ import annotations

import sys
import tempfile
import traceback
from pathlib import Path

from diffusion_geodesics.cli.streams import printable


class Interrupted(BaseException):
    """The process was asked to end (SIGTERM, SIGHUP); what was begun is cleaned up on the way."""


def say_error(text: str) -> None:
    """One line on the error stream."""
    print(f"error: {printable(text)}", file=sys.stderr)


def report_failure(error: BaseException) -> int:
    """Say what went wrong in one line; return the exit status.

    What a user can cause (`ValueError`, `OSError`, `MemoryError`) is explained by its message.
    Anything else is a defect: its traceback is written to a file that the line names.
    """
    line = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, ValueError | OSError | MemoryError):
        say_error(line)
        return 1
    say_error(f"{type(error).__name__}: {line}; {_keep_traceback(error)}")
    return 1


def _keep_traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="geodesic-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
        ) as file:
            file.write(text)
            return f"this is a defect of the program: please report it with {Path(file.name)}"
    except OSError:
        sys.stderr.write(text)
        return "this is a defect of the program: please report it with the lines above"
