"""Finished work of a run that has not ended, in a folder beside the one that it writes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def kept_work(folder: Path, what: str) -> Iterator[Path | None]:
    """The folder that keeps finished work; it is gone when the body has ended well. None where
    nothing can be made beside the output.

    Args:
        folder: that the run writes.
        what: is kept, in words.
    """
    from diffusion_geodesics.cli.console import say
    from diffusion_geodesics.cli.inputs import place_beside

    partial = place_beside(folder, ".partial")
    try:
        yield partial
    except BaseException:
        if partial and any(partial.rglob("*.safetensors")):
            say(f"finished {what} are kept in {partial}; the same command goes on from there")
        raise
    if partial:
        _forget(partial)


def _forget(partial: Path) -> None:
    """Remove what was kept, and nothing else."""
    from diffusion_geodesics.runtime.storage import KeyedCache

    for folder in (*partial.glob("*"), partial):
        if not folder.is_dir():
            continue
        if folder != partial:
            cache = KeyedCache(partial, folder.name)
            cache.sweep()
            for key in list(cache.keys()):
                cache.discard(key)
        if not any(folder.iterdir()):
            folder.rmdir()
