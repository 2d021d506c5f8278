"""What is said when a command fails: one line, and the traceback in a file where it is a defect.

The standard streams are made to take any text first.
"""

import io
import os
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from typing import NoReturn

from diffusion_geodesics.runtime.paths import printable

PACKAGE = __name__.partition(".")[0]


class Interrupted(BaseException):
    """The process was asked to end (SIGTERM, SIGHUP); what was begun is cleaned up on the way."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def say_error(text: str) -> None:
    """One line on the error stream."""
    print(f"error: {printable(text)}", file=sys.stderr)


def stop(number: int = signal.SIGINT) -> NoReturn:
    """Say that the process was stopped, and exit with 128 and the number of the signal."""
    say_error("stopped")
    sys.exit(128 + number)


def report_failure(error: BaseException) -> int:
    """Say what went wrong in one line; return the exit status.

    What a user can cause is explained by its message: errors that this package raises, what the
    operating system refuses, and memory that ran out. Anything else is a defect: its traceback is
    written to a file that the line names.
    """
    line = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, BrokenPipeError):
        return 128 + 13  # SIGPIPE, as of a program that Python did not shield from it
    if _is_explained(error) and not _hides_defect(error):
        say_error(line)
    elif _is_out_of_memory(error):
        say_error(f"out of memory ({line}); choose a smaller size, fewer frames or half precision")
    else:
        say_error(f"{type(error).__name__}: {line}; {_keep_traceback(error)}")
    return 1


def _is_explained(error: BaseException) -> bool:
    """Whether the message was written for users: by this package, or by the operating system."""
    if isinstance(error, OSError) and error.errno is not None:
        return True
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = bool(frames) and str(frames[-1].f_globals.get("__name__")).startswith(PACKAGE)
    return ours and isinstance(error, ValueError | OSError | MemoryError)


def _hides_defect(error: BaseException) -> bool:
    """Whether results could not be saved (`UnsavedError`) for a reason that is the program's."""
    cause = error.__cause__ if hasattr(error, "kept") else None
    return cause is not None and not _is_explained(cause)


def _is_out_of_memory(error: BaseException) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from diffusion_geodesics.diffusion.memory import is_out_of_memory

    return is_out_of_memory(error)


def _keep_traceback(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error))
    try:
        descriptor, file = tempfile.mkstemp(".log", "geodesic-")
        with open(descriptor, "w", encoding="utf-8", errors="replace") as log:
            log.write(text)
    except OSError:
        sys.stderr.write(text)
        file = "the lines above"
    return f"this is a defect of the program: please report it with {file}"


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
