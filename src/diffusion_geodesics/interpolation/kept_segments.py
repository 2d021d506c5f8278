"""Finished segments of a film, kept on disk by what they were made from.

Network outputs depend in their last bits on what else is in a batch, so segments are computed in
groups that depend on the chain alone, and a group is taken from the cache whole or not at all. What
is computed is used as it would be read back. So a film that was killed ends bit by bit as one that
was not, on the same machine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from diffusion_geodesics.bvp import GivenUp, Result, Solution, Start, Step
from diffusion_geodesics.correspondence import Matches
from diffusion_geodesics.interpolation.result import ImageDistance, Segment
from diffusion_geodesics.interpolation.settings import KEPT_SEGMENTS
from diffusion_geodesics.latents.coordinates import Ambient, MovingFrame, Shell
from diffusion_geodesics.latents.encode import Noised
from diffusion_geodesics.latents.mixture import Mixture
from diffusion_geodesics.latents.profile import LatentPath, LatentProfile
from diffusion_geodesics.length import LengthProfile, Profile
from diffusion_geodesics.manifold import Flat, Sphere
from diffusion_geodesics.path import GreatArc, Line, Spline
from diffusion_geodesics.runtime.diagnostic import Diagnostic
from diffusion_geodesics.runtime.keyed_cache import CacheEntry, DamagedEntryError, KeyedCache

_CLASSES: Mapping[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        *(
            Segment,
            ImageDistance,
            LatentProfile,
            LatentPath,
            Profile,
            LengthProfile,
            Matches,
            Mixture,
        ),
        *(Solution, Start, Step, GivenUp, Result),
        *(Ambient, Shell, MovingFrame, Flat, Sphere, Spline, Line, GreatArc),
    )
}
"""What a segment is made of; nothing else is read back."""


@final
@dataclass(frozen=True)
class KeptSegments:
    """A cache of what belongs to segments, or none."""

    cache: KeyedCache | None  # None to keep nothing
    device: torch.device  # where tensors that were not on the CPU are brought when they are read

    @staticmethod
    def within(folder: str | os.PathLike[str] | None, noised: Noised) -> KeptSegments:
        """The cache in a folder; none without one."""
        cache = None if folder is None else KeyedCache(Path(folder), KEPT_SEGMENTS)
        return KeptSegments(cache, noised.latents.device)

    def notes(self, keys: Sequence[str]) -> tuple[Diagnostic, ...]:
        """What must be known about the cost of a film that is resumed, before it is."""
        if self.cache is None or not any(key in self.cache for key in keys):
            return ()
        return (
            Diagnostic(
                "resumed",
                "An earlier run of this film was interrupted: what it had finished was used, and "
                "the cost is that of the rest.",
            ),
        )

    def get(self, keys: Sequence[str], compute: Callable[[], Sequence[Any]]) -> tuple[Any, ...]:
        """Values of a group, computed and kept unless all of them are there."""
        found = [self._read(key) for key in keys]
        if None in found:
            found = [entry_of(value) for value in compute()]
            if self.cache is not None:
                for key, entry in zip(keys, found, strict=True):
                    self.cache.put(key, entry)
        return tuple(value_of(entry, self.device) for entry in found if entry is not None)

    def _read(self, key: str) -> CacheEntry | None:
        """An entry; one that is damaged is computed again."""
        try:
            return None if self.cache is None else self.cache.get(key)
        except DamagedEntryError:
            return None


def entry_of(value: object) -> CacheEntry:
    """Dataclasses, tuples, enums, numbers and tensors as an entry of a cache."""
    tensors: dict[str, Tensor] = {}
    return CacheEntry(tensors, {"value": _packed(value, tensors)})


def value_of(entry: CacheEntry, device: torch.device) -> Any:
    """The inverse of `entry_of`; tensors that were not on the CPU go to a device."""
    return _unpacked(entry.metadata["value"], entry.tensors, device)


def _packed(value: Any, tensors: dict[str, Tensor]) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Tensor):
        name = f"{len(tensors):03d}"
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name, "host": value.device.type == "cpu"}
    if isinstance(value, tuple):
        return [_packed(each, tensors) for each in value]
    kind = type(value).__name__
    if _CLASSES.get(kind) is not type(value):
        raise TypeError(f"got a {kind}, which is no part of a segment")
    if isinstance(value, Enum):
        return {"class": kind, "name": value.name}
    return {
        "class": kind,
        "fields": {f.name: _packed(getattr(value, f.name), tensors) for f in fields(value)},
    }


def _unpacked(value: Any, tensors: Mapping[str, Tensor], device: torch.device) -> Any:
    if isinstance(value, list):
        return tuple(_unpacked(each, tensors, device) for each in value)
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        found = tensors[value["tensor"]]
        return found if value["host"] else found.to(device)
    kind = _CLASSES[value["class"]]
    if "name" in value:
        return kind[value["name"]]  # type: ignore[index]
    return kind(**{k: _unpacked(v, tensors, device) for k, v in value["fields"].items()})
