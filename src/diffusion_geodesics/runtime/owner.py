"""Which process made a file, and whether that process is still running.

Several processes, containers and machines may write into one folder. What a process leaves behind
carries its owner in its name, so that a later process can tell what is abandoned from what is in
use.
"""

from __future__ import annotations

import os
import re
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

SETTLED_SECONDS = 60.0  # age in seconds from which on an unlocked file counts as abandoned
NO_BOOT_ID = "0"


@final
@dataclass(frozen=True)
class Owner:
    """The identity of a process."""

    host: str  # its name, without dots
    boot: str  # the first eight digits of the kernel's boot id (Linux), "0" where there is none
    namespace: str  # the inode of that of process ids, which differs between containers
    pid: int
    started: str  # in clock ticks since boot, because process ids are reused

    @staticmethod
    def current() -> Owner:
        """The process that calls. It is not cached, since a process may fork."""
        pid = os.getpid()
        return Owner(_host(), _boot(), _namespace(), pid, _started(pid) or "0")

    @staticmethod
    def parse(text: str) -> Owner | None:
        """The owner that ``str`` has written; None for any other text."""
        found = re.fullmatch(r"([\w-]+)\.([0-9a-f]+)\.(\d+)\.(\d+)\.(\d+)", text, re.ASCII)
        if found is None:
            return None
        host, boot, namespace, pid, started = found.groups()
        return Owner(host, boot, namespace, int(pid), started)

    def __str__(self) -> str:
        return f"{self.host}.{self.boot}.{self.namespace}.{self.pid}.{self.started}"

    @property
    def is_local(self) -> bool:
        """Whether the process ran on this machine, in a container or before a reboot included."""
        here = Owner.current()
        return self.host == here.host or self.boot == here.boot != NO_BOOT_ID

    def is_gone(self, path: Path) -> bool:
        """Whether the process is known to have ended: never for one of another host. The lock on
        ``path``, which it made, decides for one in another container."""
        if not self.is_local:
            return False
        here = Owner.current()
        same_kernel = self.boot == here.boot != NO_BOOT_ID
        if same_kernel and self.namespace == here.namespace:
            return _started(self.pid) != self.started
        if not same_kernel and self.boot == here.boot:
            return not _exists(self.pid)
        # Another container on this machine, or an earlier boot of it.
        return _is_settled(path) and _is_unlocked(path)


def hold(path: Path) -> int | None:
    """Lock a file or folder for as long as the descriptor that is returned stays open; None where
    that cannot be done."""
    try:
        import fcntl

        descriptor = os.open(path, os.O_RDONLY)
    except (ImportError, OSError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _is_unlocked(path: Path) -> bool:
    if (descriptor := hold(path)) is None:
        return False
    os.close(descriptor)
    return True


def _is_settled(path: Path) -> bool:
    try:
        return time.time() - path.lstat().st_mtime > SETTLED_SECONDS
    except OSError:
        return False


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:40] or "host"


def _boot() -> str:
    with suppress(OSError):
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        return text.replace("-", "")[:8]
    return NO_BOOT_ID


def _namespace() -> str:
    with suppress(OSError):
        found = re.search(r"\d+", os.readlink("/proc/self/ns/pid"))
        return found.group() if found else "0"
    return "0"


def _started(pid: int) -> str | None:
    """Start time of a process in ticks since boot; None if it does not run or has ended.

    A process that was killed and whose parent has not yet noticed (a zombie) has ended.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets and may contain anything.
    state, *fields = text.rpartition(")")[2].split()
    return None if state in "ZXx" else fields[18]


def _exists(pid: int) -> bool:
    """Whether a process with this id runs, for systems without /proc."""
    try:
        os.kill(pid, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True
