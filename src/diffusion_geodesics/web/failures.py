"""What the page says when something fails: one sentence."""

from __future__ import annotations

import sys
import traceback

_FULL = (
    "The memory of this machine is full: choose a smaller size, fewer frames or a smaller model."
)


def explain(error: BaseException) -> str:
    """One sentence on an error.

    What a user can cause is explained by the error's own message. Anything else is a defect; its
    traceback goes to the terminal.
    """
    line = " ".join(str(error).split()) or type(error).__name__
    if _is_memory(error):
        return line if isinstance(error, MemoryError) and str(error) else _FULL
    if isinstance(error, ValueError | OSError):
        if line.split()[0].isalpha():  # neither an id nor a path
            line = line[0].upper() + line[1:]
        return line.removesuffix(".") + "."
    traceback.print_exception(error, file=sys.stderr)
    return (
        f"This is a defect of the program ({type(error).__name__}: {line}); please report it with "
        "the lines that the terminal shows."
    )


def _is_memory(error: BaseException) -> bool:
    """Whether memory has run out: Python's, an accelerator's, or that of torch on a CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
