"""One file, written whole or not at all."""

import errno
import json
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from diffusion_geodesics.runtime._durable import staged_file, sweep, sync_folder
from diffusion_geodesics.runtime._entries import PROGRAM
from diffusion_geodesics.runtime._rules import absolute_path

_PNG = b"\x89PNG\r\n\x1a\n"
_LARGEST_JSON = 100_000_000  # bytes of a JSON text above which it is not looked at
_BOUND = {errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM}
"""Errors where a file can be written but not replaced: it is mounted, or its folder read-only."""


def write_file(path: str | Path, content: str | bytes, *, overwrite: bool = False) -> Path:
    """Write one file atomically.

    A file that is there is replaced only with ``overwrite``, and only if it is recognised as ours:
    JSON with ``"program": "diffusion-geodesics"``, safetensors with that metadata, or a PNG image
    that names it as its software; an empty file is no one's. Its permissions are kept, and a link
    to it stays a link. A device or a pipe, such as /dev/stdout, is written into.
    """
    target = _file(path)
    data = content.encode() if isinstance(content, str) else content
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        with target.open("wb") as device:
            device.write(data)
        return target
    _refuse(target, overwrite=overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent, target.name)
    try:
        with staged_file(target, data) as staging:
            _install(staging, target, overwrite=overwrite)
    except OSError as error:
        if error.errno not in _BOUND or not target.exists():
            raise
        target.write_bytes(data)
    sync_folder(target.parent)
    return target


def _install(staging: Path, target: Path, *, overwrite: bool) -> None:
    if not target.exists():
        try:
            os.link(staging, target)  # fails where another process was faster
            return
        except OSError:
            pass  # so it does where there are no links
    _refuse(target, overwrite=overwrite)
    if target.exists():
        with suppress(OSError):
            shutil.copymode(target, staging)
    os.replace(staging, target)


def is_ours(path: Path) -> bool:
    """Whether a file says that this program wrote it."""
    try:
        with path.open("rb") as file:
            head = file.read(8)
            if head == _PNG:
                return f"Software\0{PROGRAM}".encode() in file.read(4096)
            if head[:1] == b"{":
                found = json.loads(head + file.read(_LARGEST_JSON))
            else:  # a file of safetensors begins with the size of its header
                size = int.from_bytes(head, "little")
                header = json.loads(file.read(size)) if 0 < size < _LARGEST_JSON else {}
                found = header.get("__metadata__")
        return isinstance(found, dict) and found.get("program") == PROGRAM
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def check_file(path: str | Path, *, overwrite: bool = False) -> Path:
    """The file as an absolute path, if it can be written there; call it before any long work."""
    target = _file(path)
    if target.exists():
        _refuse(target, overwrite=overwrite)
        if not os.access(target, os.W_OK):
            raise PermissionError(f"{target} cannot be written; choose another file")
        return target
    folder = next(parent for parent in target.parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            return target
    except OSError as error:
        message = f"{target} cannot be written ({error.strerror or error}); choose another file"
        raise type(error)(error.errno, message) from error


def _file(path: str | Path) -> Path:
    target = absolute_path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; name a file")
    return target


def _refuse(target: Path, *, overwrite: bool) -> None:
    if not target.exists() or not stat.S_ISREG(target.stat().st_mode):
        return
    if target.stat().st_size and not is_ours(target):
        message = f"{target} exists and was not written by {PROGRAM}; choose another file"
        raise FileExistsError(message)
    if not overwrite:
        message = f"{target} exists; choose another file, or allow it to be overwritten"
        raise FileExistsError(message)
