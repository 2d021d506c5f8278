"""Which models are on this machine: the embedded one, folders, and the hub's cache."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

from diffusion_geodesics.models.errors import ModelError
from diffusion_geodesics.models.families import family_named
from diffusion_geodesics.models.loading import EMBEDDED
from diffusion_geodesics.models.opening import pipeline_class_name
from diffusion_geodesics.models.weights import weight_files

__all__ = ["LocalModel", "local_models"]


@final
@dataclass(frozen=True)
class LocalModel:
    """A pipeline found on this machine.

    - `name`: what to give to `load_model`.
    - `pipeline`: its class, by its model_index.json.
    - `family`: the family that opens it; empty where none does.
    - `revision`: the commit, of a model in the hub's cache.
    - `bytes`: of its weights; 0 where they were not downloaded.
    """

    name: str
    pipeline: str
    family: str
    revision: str
    bytes: int


def local_models(folders: Sequence[Path] = ()) -> tuple[LocalModel, ...]:
    """The embedded model, then those in `folders` and their subfolders, then the hub's cache.

    Raises `ModelError` for a folder that is not there. Nothing is loaded or fetched.
    """
    places = [("embedded", EMBEDDED, ""), *_in_folders(folders), *_in_cache()]
    return tuple(
        _described(name, path, revision)
        for name, path, revision in places
        if (path / "model_index.json").is_file()
    )


def _in_folders(folders: Sequence[Path]) -> Iterator[tuple[str, Path, str]]:
    for folder in folders:
        if not folder.is_dir():
            raise ModelError(f"no folder {folder}; give the folder of a pipeline, or one of many")
        for path in (folder, *sorted(child for child in folder.iterdir() if child.is_dir())):
            yield str(path), path, ""


def _in_cache() -> Iterator[tuple[str, Path, str]]:
    from huggingface_hub import CacheNotFound, scan_cache_dir

    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return
    for repository in sorted(repositories, key=lambda found: found.repo_id):
        if repository.repo_type == "model":
            for revision in sorted(repository.revisions, key=lambda found: found.commit_hash):
                yield repository.repo_id, Path(revision.snapshot_path), revision.commit_hash


def _described(name: str, path: Path, revision: str) -> LocalModel:
    weight = sum(file.stat().st_size for file in weight_files(path))
    try:
        kind = str(pipeline_class_name(path / "model_index.json", name))
    except ModelError:
        return LocalModel(name, "damaged", "", revision, weight)
    try:
        family = family_named(kind, name).name
    except ModelError:
        family = ""
    return LocalModel(name, kind, family, revision, weight)
