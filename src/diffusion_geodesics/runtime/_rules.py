"""Which folders may be written: those that are new, empty, or a former run of ours."""

import json
from pathlib import Path

from diffusion_geodesics.runtime._entries import PROGRAM, State, entries, label
from diffusion_geodesics.runtime.paths import expand


def absolute_path(path: str | Path) -> Path:
    """The path without links and with a leading ``~`` replaced."""
    try:
        return expand(path).resolve()
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be used: {error}") from error


def contents(folder: Path) -> list[Path]:
    """What is in a folder apart from what is being written into it; nothing if there is none."""
    ours = {entry.path for entry in entries(folder) if not entry.target}
    try:
        return [path for path in folder.iterdir() if path not in ours]
    except FileNotFoundError:
        return []


def refuse(path: Path, *, overwrite: bool) -> None:
    """Raise where a run must not be written."""
    for part in (path, *path.parents):
        if part.exists() and not part.is_dir():
            raise NotADirectoryError(f"{part} is a file; name a folder for the output")
    here = Path.cwd().resolve()
    if path == here or path in here.parents:
        raise ValueError(f"{path} is the current folder or contains it; name a new folder")
    if not contents(path):
        return
    if not overwrite:
        raise FileExistsError(
            f"{path} exists; choose another folder or allow it to be overwritten{_waiting(path)}"
        )
    written = _files_of_run(path)
    if written is None:
        raise FileExistsError(
            f"{path} was not written by {PROGRAM} (it has no result.json of ours), "
            f"so it is not overwritten; choose another folder{_waiting(path)}"
        )
    if others := sorted(_files(path) - written):
        raise FileExistsError(
            f"{path} holds files that its run did not write ({', '.join(others[:3])}"
            f"{', ...' if len(others) > 3 else ''}); move them or choose another folder"
        )


def _waiting(path: Path) -> str:
    """Where results of another process are that are about this folder and not in their place."""
    beside = [e for e in entries(path.parent) if e.target == label(path.name)]
    inside = [e for e in entries(path) if not e.target]
    for entry in (*beside, *inside):
        if entry.state in (State.FINISHED, State.INSTALLING):
            process = f"process {entry.owner.pid} of {entry.owner.host}"
            return f"; finished results of {process} are in {entry.path}"
    return ""


def _files(folder: Path) -> set[str]:
    """Every file of a run, relative to its folder."""
    return {
        file.relative_to(folder).as_posix()
        for top in contents(folder)
        for file in ([top, *top.rglob("*")] if not top.is_symlink() else [top])
        if not file.is_dir() or file.is_symlink()
    }


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
