"""Child processes to be killed, and file systems of their own to be filled or write-protected."""

from __future__ import annotations

import ctypes
import ctypes.util
import faulthandler
import os
import pickle
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.chmod", "os.utime"}
"""Audit events of calls that change a file system, besides opening a file to write."""
NEW_USER, NEW_MOUNTS = 0x10000000, 0x00020000
READ_ONLY, RECURSIVE_PRIVATE = 1, 0x4000 | 0x40000
SKIPPED = 77
PATIENCE = 120.0  # seconds for a child


def run_in_child(action: Callable[[], object], kill_at: int = 0) -> bool:
    """Run a function in a forked process; whether it was killed.

    Args:
        action: what to do; an exception of it fails the test.
        kill_at: SIGKILL before the k-th call that changes a file system, or that brings a file to
            the disk; 0 for never.
    """
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking a process with threads
        child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(read)
            faulthandler.register(signal.SIGUSR1, write)
            if kill_at:
                _kill_before(kill_at)
            action()
            status = 0
        except pytest.skip.Exception as skip:
            os.write(write, pickle.dumps(str(skip)))
            status = SKIPPED
        except BaseException:
            os.write(write, pickle.dumps(traceback.format_exc()[-60_000:]))
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = _read_within(PATIENCE, child, pipe)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    if os.WEXITSTATUS(status) == SKIPPED:
        pytest.skip(pickle.loads(told))
    assert os.WEXITSTATUS(status) == 0, pickle.loads(told)
    return False


def _read_within(seconds: float, child: int, pipe: BinaryIO) -> bytes:
    """What the child has to tell; a child that takes longer is ended and its stack shown: a fork of
    a process with threads can wait for a lock that nobody holds."""
    told = b""
    deadline = time.monotonic() + seconds
    while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
        if not (piece := os.read(pipe.fileno(), 65536)):
            return told
        told += piece
    os.kill(child, signal.SIGUSR1)
    time.sleep(1.0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    stack = os.read(pipe.fileno(), 65536).decode(errors="replace")
    pytest.fail(f"the child did not end within {seconds:g} s; it was at\n{stack}")


def _kill_before(count: int) -> None:
    seen = 0
    fsync = os.fsync

    def one_more() -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        writing = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
        if event in CHANGES or writing:
            one_more()

    def synced(descriptor: int) -> None:  # of which there is no audit event
        one_more()
        fsync(descriptor)

    os.fsync = synced
    sys.addaudithook(hook)


def mount_tmpfs(path: Path, size: str = "1m", *, read_only: bool = False) -> None:
    """Mount an empty file system in memory, for this process and its children only.

    Called in `run_in_child`. The test is skipped where the kernel does not allow it.
    """
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    user, group = os.getuid(), os.getgid()
    if libc.unshare(NEW_MOUNTS) != 0:
        if libc.unshare(NEW_USER | NEW_MOUNTS) != 0:
            pytest.skip("mounting is not allowed here")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    libc.mount(b"none", b"/", None, RECURSIVE_PRIVATE, None)
    flags = READ_ONLY if read_only else 0
    if libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", flags, f"size={size}".encode()) != 0:
        pytest.skip(f"mounting is not allowed here: {os.strerror(ctypes.get_errno())}")


def bind_read_only(path: Path, kept: Path) -> None:
    """Make a folder read-only for this process, but for one in it, which is mounted anew."""
    libc = ctypes.CDLL(ctypes.util.find_library("c"), use_errno=True)
    bind, remount = 0x1000, 0x20
    mount_tmpfs(kept)
    for source, flags in ((path, bind | 0x4000), (path, bind | remount | READ_ONLY)):
        if libc.mount(os.fsencode(source), os.fsencode(path), None, flags, None) != 0:
            pytest.skip(f"mounting is not allowed here: {os.strerror(ctypes.get_errno())}")


def tree(folder: Path) -> list[str]:
    """Everything below a folder, relative to it."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
