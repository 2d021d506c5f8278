"""Paths in a file of settings: those of inputs are relative to the file.

Outputs and caches are relative to the folder where the command runs, as on the command line.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from diffusion_geodesics.runtime.paths import expand
from diffusion_geodesics.runtime.settings import FlatField, JobSettings, Marker, flat_fields


def beside_file(cls: type[JobSettings], values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Values with the paths of inputs made absolute."""
    places = flat_fields(cls)
    return {
        name: _resolved(places[name], value, folder.resolve()) for name, value in values.items()
    }


def _resolved(field: FlatField, value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_resolved(field, each, folder) for each in value]
    marks = field.info.metadata
    if not isinstance(value, str) or Marker.OUTPUT in marks:
        return value
    if Marker.NAME_OR_FOLDER in marks:
        found = folder / value
        return str(found) if found.is_dir() else value
    if Marker.NAMED_FOLDER in marks:
        name, equals, path = value.rpartition("=")
        return f"{name}{equals}{_beside(path, folder)}"
    return _beside(value, folder) if _holds_path(field.info.annotation) else value


def _beside(path: str, folder: Path) -> str:
    return str(folder / expand(path))


def _holds_path(kind: Any) -> bool:
    return kind is Path or any(_holds_path(part) for part in get_args(kind))
