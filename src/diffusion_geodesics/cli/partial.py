"""Finished work of a run that has not ended, beside the folder that it writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def kept_work(folder: Path, what: str, *, file: bool = False) -> Iterator[Path | None]:
    """The folder, or file, that keeps finished pairs or segments while a run writes another folder.
    It is gone when the body has ended well; None where nothing can be made there."""
    from diffusion_geodesics.cli.console import say
    from diffusion_geodesics.comparison.settings import KEPT_PAIRS
    from diffusion_geodesics.interpolation.settings import KEPT_SEGMENTS

    kind = KEPT_SEGMENTS if what == "segments" else KEPT_PAIRS
    partial = place_beside(folder, ".partial.safetensors" if file else ".partial")
    try:
        yield partial
    except BaseException:
        if kept := partial and (_files(partial) if file else _folder(partial, kind)):
            places = " and ".join(map(str, kept))
            say(f"finished {what} are kept in {places}; the same command goes on from there")
        raise
    if partial and file:
        for each in _files(partial):
            each.unlink(missing_ok=True)
    elif partial:
        forget(partial, kind)


def _files(partial: Path) -> list[Path]:
    """The file, and that of metamorphoses beside it, where they are."""
    from diffusion_geodesics.image_sets.settings import metamorphosis_file

    return [each for each in (partial, metamorphosis_file(partial)) if each.exists()]


def _folder(partial: Path, kind: str) -> list[Path]:
    """The folder, if there is anything in it."""
    return [partial] if any((partial / kind).glob("*.safetensors")) else []


def place_beside(folder: Path, suffix: str) -> Path | None:
    """Where intermediate results are kept: beside the output, by its name and a suffix; None where
    nothing can be made there."""
    parent = next(path for path in folder.parents if path.exists())
    return folder.with_name(folder.name + suffix) if os.access(parent, os.W_OK) else None


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
