"""An output folder that appears whole or not at all, and never replaces what is not its own."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAM = "diffusion-geodesics"


def check_folder(folder: str | Path, *, overwrite: bool = False) -> Path:
    """The folder as an absolute path, if a run may be written there; call it before any long work.

    A folder may be written if it does not exist or is empty. With `overwrite` it may also be one
    that an earlier run wrote, if it holds nothing but the files which that run names in its
    result.json.

    Raises:
        FileExistsError: the folder is there and must not be replaced.
        NotADirectoryError: a file is in the way.
        ValueError: the folder is the current one, or contains it.
    """
    path = Path(folder).expanduser().resolve()
    for part in (path, *path.parents):
        if part.exists() and not part.is_dir():
            raise NotADirectoryError(f"{part} is a file; name a folder for the output")
    here = Path.cwd().resolve()
    if path == here or path in here.parents:
        raise ValueError(f"{path} is the current folder or contains it; name a new folder")
    if not path.exists() or not any(path.iterdir()):
        return path
    if not overwrite:
        raise FileExistsError(f"{path} exists; choose another folder or allow it to be overwritten")
    written = _files_of_run(path)
    if written is None:
        raise FileExistsError(
            f"{path} was not written by {PROGRAM} (it has no result.json of ours), "
            "so it is not overwritten; choose another folder"
        )
    found = {file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir()}
    if others := sorted(found - written):
        raise FileExistsError(
            f"{path} holds files that its run did not write ({', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}); move them or choose another folder"
        )
    return path


@contextmanager
def staged_folder(folder: str | Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A new, empty folder to write into, which takes the place of `folder` when all went well.

    It lies beside `folder`, so that the last step is a rename. Whatever goes wrong, Ctrl-C
    included, it is removed and what was there before stays.

    Raises:
        FileExistsError, NotADirectoryError, ValueError: as `check_folder`, before and after.
    """
    path = check_folder(folder, overwrite=overwrite)
    made = _make_parents(path)
    staging = path.parent / f".{PROGRAM}-{secrets.token_hex(6)}"
    try:
        staging.mkdir()
        yield staging
        check_folder(path, overwrite=overwrite)  # it may have appeared in the meantime
        _replace(path, staging)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        for parent in made:
            with suppress(OSError):
                parent.rmdir()
        raise


def _make_parents(path: Path) -> list[Path]:
    """Create the parents that are missing; returns them, innermost first."""
    missing = [parent for parent in path.parents if not parent.exists()]
    path.parent.mkdir(parents=True, exist_ok=True)
    return missing


def _replace(path: Path, staging: Path) -> None:
    """Put `staging` in the place of `path`, and put `path` back if that fails."""
    if not path.exists():
        staging.rename(path)
        return
    former = staging.with_name(f"{staging.name}-former")
    path.rename(former)
    try:
        staging.rename(path)
    except BaseException:
        former.rename(path)
        raise
    shutil.rmtree(former, ignore_errors=True)


def _files_of_run(path: Path) -> set[str] | None:
    """The files that the run in this folder says it wrote; None if it is no run of ours."""
    try:
        result = json.loads((path / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(result, dict) or result.get("program") != PROGRAM:
        return None
    files = result.get("files")
    return {str(file) for file in files} if isinstance(files, list) else None
