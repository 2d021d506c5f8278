"""Settings in files: read from TOML, YAML or JSON, written as commented TOML."""

from __future__ import annotations

import json
import textwrap
import tomllib
from collections.abc import Collection, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from diffusion_geodesics.runtime.paths import expand
from diffusion_geodesics.runtime.settings import JobSettings, SettingsError, SettingsGroup


def settings_toml(
    job: str,
    settings: JobSettings,
    header: Mapping[str, Any] | None = None,
    without: Collection[str] = (),
) -> str:
    """The text of a settings file: what has an effect, group by group, each value explained."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(f"Repeat with: geodesic {job} --config settings.toml -o FOLDER"))
    document.add("job", tomlkit.item(job))
    header, inert = dict(header or {}), settings.all_inert()
    nested = settings.as_nested()
    for name, value in header.items():
        if not isinstance(value, Mapping):
            document.add(name, value)
    plain = {k: v for k, v in nested.items() if not isinstance(v, Mapping)}
    _fill(document, type(settings), plain, inert, blank=True)
    for name, value in header.items():
        if isinstance(value, Mapping):
            table = tomlkit.table()
            for key, each in value.items():
                if each is not None:
                    table.add(key, each)
            document.add(name, table)
    for name in type(settings).model_fields:
        group = getattr(settings, name)
        if isinstance(group, SettingsGroup) and name not in without:
            table = tomlkit.table()
            _fill(table, type(group), nested.get(name, {}), inert)
            if table.as_string().strip():
                document.add(name, table)
    return tomlkit.dumps(document)


def _fill(
    place: Any,
    group: type[SettingsGroup],
    values: Mapping[str, Any],
    inert: Mapping[str, str],
    *,
    blank: bool = False,
) -> None:
    """Add the values of a group, each below its explanation."""
    import tomlkit

    for name, field in group.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, SettingsGroup):
            continue
        if name not in values and name in inert:
            continue
        if blank:
            place.add(tomlkit.nl())
        for line in textwrap.wrap(_explanation(field), 96):
            place.add(tomlkit.comment(line))
        if name in values:
            place.add(name, values[name])
        else:
            place.add(tomlkit.comment(f"{name} = (open)"))


def _explanation(field: FieldInfo) -> str:
    text = " ".join((field.description or "").split())
    if isinstance(field.annotation, type) and issubclass(field.annotation, Enum):
        return f"{text} One of {', '.join(str(member.value) for member in field.annotation)}."
    return text


def read_settings_file(path: str | Path) -> dict[str, Any]:
    """The contents of a TOML, YAML or JSON file."""
    file = expand(path)
    kind = file.suffix.lower()
    if kind not in (".toml", ".yaml", ".yml", ".json"):
        raise SettingsError(f"{file} is neither .toml, .yaml nor .json")
    try:
        found = _parsed(file.read_text(encoding="utf-8"), kind)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # each format has an error of its own
        raise SettingsError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise SettingsError(f"{file} holds {type(found).__name__}; expected settings by name")
    return found


def _parsed(text: str, kind: str) -> Any:
    if kind == ".toml":
        return tomllib.loads(text)
    if kind == ".json":
        return json.loads(text)
    import yaml

    return yaml.safe_load(text)
