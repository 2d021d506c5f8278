"""Tensors on disk by what they were made from: resumable, atomic, safe for several processes."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, final

from diffusion_geodesics.runtime._durable import staged_file, sweep, sync_folder
from diffusion_geodesics.runtime._entries import PROGRAM
from diffusion_geodesics.runtime.content_key import tensor_bytes
from diffusion_geodesics.runtime.paths import expand

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
_NAME = re.compile(r"[A-Za-z0-9_-]+")


class DamagedEntryError(ValueError):
    """An entry of a cache that cannot be read; ``file`` is what can be deleted."""

    def __init__(self, file: Path, reason: str) -> None:
        super().__init__(f"{file} is damaged ({reason}); delete it to have it computed again")
        self.file, self.reason = file, reason

    def __reduce__(self) -> tuple[type[DamagedEntryError], tuple[Path, str]]:
        return type(self), (self.file, self.reason)


@final
@dataclass(frozen=True, eq=False)
class CacheEntry:
    """What is kept under one key."""

    tensors: Mapping[str, Tensor]  # by name; on the CPU when they have been read
    metadata: Mapping[str, object] = field(default_factory=dict)  # as JSON can hold it


@final
@dataclass(frozen=True)
class KeyedCache:
    """Entries of one kind in a folder, each in a file of safetensors named by its key.

    An entry appears whole or not at all and carries a checksum. Several processes may use one
    folder: of two that store the same key, the last wins.
    """

    folder: Path  # holds a folder for each kind; made when the first entry is stored
    kind: str  # what the entries are, such as "prompt-1": with a version, as meanings change

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.kind):
            raise ValueError(f"kind must be letters, digits, - and _, got {self.kind!r}")
        object.__setattr__(self, "folder", expand(self.folder))

    def path(self, key: str) -> Path:
        """The file of a key, whether it is there or not."""
        if not _NAME.fullmatch(key):
            raise ValueError(f"key must be letters, digits, - and _, got {key!r}; take content_key")
        return self.folder / self.kind / f"{key}{SUFFIX}"

    def __contains__(self, key: str) -> bool:
        return self.path(key).is_file()

    def keys(self) -> Iterator[str]:
        """The keys of all entries, in alphabetical order."""
        files = (self.folder / self.kind).glob(f"[!.]*{SUFFIX}")
        yield from sorted(file.name.removesuffix(SUFFIX) for file in files)

    def get(self, key: str) -> CacheEntry | None:
        """What is kept under a key; None if nothing is."""
        from safetensors import SafetensorError
        from safetensors.torch import load

        file = self.path(key)
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DamagedEntryError(file, error.strerror or str(error)) from error
        try:
            tensors = load(content)
            size = int.from_bytes(content[:8], "little")
            stored = json.loads(content[8 : 8 + size])["__metadata__"]
            about = (stored["kind"], stored["key"])
            metadata, checksum = json.loads(stored["metadata"]), stored["checksum"]
        except (SafetensorError, ValueError, KeyError, TypeError) as error:
            raise DamagedEntryError(file, str(error)) from error
        if about != (self.kind, key):
            raise DamagedEntryError(file, f"it is entry {about[1]} of kind {about[0]}")
        if checksum != _checksum(tensors, stored["metadata"]):
            raise DamagedEntryError(file, "its content does not match its checksum")
        return CacheEntry(tensors, metadata)

    def put(self, key: str, entry: CacheEntry) -> None:
        """Keep an entry; one of the same key is replaced."""
        from safetensors.torch import save

        file = self.path(key)
        metadata = json.dumps(dict(entry.metadata), sort_keys=True)
        # Cloned, because safetensors refuses tensors that share memory.
        tensors = {n: t.detach().cpu().contiguous().clone() for n, t in entry.tensors.items()}
        about = {"program": PROGRAM, "kind": self.kind, "key": key, "metadata": metadata}
        about["checksum"] = _checksum(tensors, metadata)
        file.parent.mkdir(parents=True, exist_ok=True)
        with staged_file(file, save(tensors, metadata=about)) as staging:
            os.replace(staging, file)
        sync_folder(file.parent)

    def demand_writable(self) -> None:
        """Find out whether entries can be kept, before what they are made of is computed."""
        folder = self.folder / self.kind
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with staged_file(folder / f"entry{SUFFIX}", bytes(4096)):
                pass
        except OSError as error:
            why = error.strerror or error
            message = f"{folder} cannot be written: {why}; name another folder to keep results in"
            raise OSError(f"{message}, or none") from error

    def discard(self, key: str) -> None:
        """Delete an entry, if it is there."""
        self.path(key).unlink(missing_ok=True)

    def get_or_compute(
        self,
        key: str,
        compute: Callable[[], CacheEntry],
        on_damage: Callable[[DamagedEntryError], None] | None = None,
    ) -> CacheEntry:
        """What is kept under a key, computed and kept if there is nothing. A damaged entry is told
        to ``on_damage`` and replaced; without that the error is raised."""
        try:
            found = self.get(key)
        except DamagedEntryError as error:
            if on_damage is None:
                raise
            on_damage(error)
            found = None
        if found is None:
            found = compute()
            self.put(key, found)
        return found

    def sweep(self) -> None:
        """Delete unfinished files that processes which have ended left behind."""
        sweep(self.folder / self.kind)


def _checksum(tensors: Mapping[str, Tensor], metadata: str) -> str:
    digest = hashlib.sha256(metadata.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor_bytes(tensor))
    return digest.hexdigest()
