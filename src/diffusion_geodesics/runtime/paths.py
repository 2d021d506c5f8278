"""Names of files: the home directory written as ``~``, and names that can be printed."""

import os
import unicodedata
from pathlib import Path

__all__ = ["expand", "printable"]

_UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories that break a line of text: control, surrogate, line and paragraph marks."""
_FIRST_RAW, _LAST_RAW = 0xDC80, 0xDCFF
"""Code points by which Python stands for the bytes 0x80 to 0xFF of a name that is not UTF-8."""


def expand(path: str | os.PathLike[str]) -> Path:
    """The path with a leading ``~`` or ``~user`` replaced by that home directory.

    A name such as ``~draft.png``, where no user has that name, stays as it is, and so does what is
    there as it is written.
    """
    plain = Path(path)
    if os.path.lexists(plain):
        return plain
    try:
        return plain.expanduser()
    except RuntimeError:  # no such user, or no home directory
        return plain


def printable(name: str | os.PathLike[str]) -> str:
    r"""The name as text that can be printed, logged and written as UTF-8.

    Bytes that are not UTF-8 are shown as ``\xe9``, control characters as ``\n`` or ``\x1b``;
    everything else is kept.
    """
    return "".join(_shown(character) for character in os.fspath(name))


def _shown(character: str) -> str:
    code = ord(character)
    if _FIRST_RAW <= code <= _LAST_RAW:
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(character) in _UNPRINTABLE:
        return character.encode("unicode_escape").decode("ascii")
    return character
