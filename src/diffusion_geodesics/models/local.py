"""Which models are on this machine: the embedded one, folders, and the hub's cache.

Nothing here imports torch or a model library, and a folder or link that cannot be read is passed
over.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import family_named
from diffusion_geodesics.models.folders import EMBEDDED, pipeline_class_name, weight_files
from diffusion_geodesics.runtime.paths import expand


@final
@dataclass(frozen=True)
class LocalModel:
    """A pipeline found on this machine."""

    name: str
    """What to give to `load_model`."""
    pipeline: str
    """Its class, by its model_index.json; ``"damaged"`` where that cannot be read."""
    family: str
    """The family that opens it; empty where none does."""
    revision: str
    """The commit, of a model in the hub's cache."""
    bytes: int
    """Of its weights; 0 where they were not downloaded."""


def local_models(folders: Sequence[str | os.PathLike[str]] = ()) -> tuple[LocalModel, ...]:
    """The embedded model, then those in ``folders`` and their subfolders, then the hub's cache.

    ``folders`` are those of a pipeline or of many; a leading ``~`` is a home folder, and
    `ModelError` is raised for one that is not there. Nothing is loaded or fetched, and what cannot
    be read is passed over.
    """
    places = [("embedded", EMBEDDED, ""), *_in_folders(folders), *_in_cache()]
    return tuple(
        _described(name, path, revision)
        for name, path, revision in places
        if os.path.isfile(path / "model_index.json")
    )


def _in_folders(folders: Sequence[str | os.PathLike[str]]) -> Iterator[tuple[str, Path, str]]:
    for given in folders:
        folder = expand(given)
        if not os.path.isdir(folder):
            raise ModelError(f"no folder {given}; give the folder of a pipeline, or one of many")
        for path in (folder, *_subfolders(folder)):
            yield str(path), path, ""


def _in_cache() -> Iterator[tuple[str, Path, str]]:
    """Snapshots in the hub's cache, laid out as ``models--owner--name/snapshots/commit``."""
    from huggingface_hub import constants

    for repository in _subfolders(Path(constants.HF_HUB_CACHE)):
        kind, *name = repository.name.split("--")
        if kind == "models":
            for snapshot in _subfolders(repository / "snapshots"):
                yield "/".join(name), snapshot, snapshot.name


def _subfolders(folder: Path) -> list[Path]:
    """Sorted; empty where they cannot be listed."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return []
    return [folder / name for name in names if os.path.isdir(folder / name)]


def _described(name: str, path: Path, revision: str) -> LocalModel:
    weights = sum(map(_size, weight_files(path)))
    try:
        kind = pipeline_class_name(path, name)
    except ModelError:
        return LocalModel(name, "damaged", "", revision, weights)
    try:
        family = family_named(kind, name).name
    except ModelError:
        family = ""
    return LocalModel(name, kind, family, revision, weights)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0
