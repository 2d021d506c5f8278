"""Finished work of a run that has not ended, in a folder beside the one that it writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

KINDS = {"pairs": "compared-pair", "segments": "film-segment-1"}
"""The folder of each kind of finished work, as the jobs name it; they are not imported for it."""


@contextmanager
def kept_work(folder: Path, what: str) -> Iterator[Path | None]:
    """The folder that keeps finished work; it is gone when the body has ended well. None where
    nothing can be made beside the output."""
    from diffusion_geodesics.cli.console import say
    from diffusion_geodesics.cli.inputs import place_beside

    partial = place_beside(folder, ".partial")
    try:
        yield partial
    except BaseException:
        if partial and any((partial / KINDS[what]).glob("*.safetensors")):
            say(f"finished {what} are kept in {partial}; the same command goes on from there")
        raise
    if partial:
        forget(partial, KINDS[what])


def forget(partial: Path, kind: str) -> None:
    """Remove what was kept, and nothing else."""
    from diffusion_geodesics.runtime.storage import KeyedCache

    cache = KeyedCache(partial, kind)
    if (partial / kind).is_dir():
        cache.sweep()
    for key in list(cache.keys()):
        cache.discard(key)
    for folder in (partial / kind, partial):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
