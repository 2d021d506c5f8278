"""Settings in files: read from TOML, YAML or JSON, written as commented TOML."""

import json
import textwrap
import tomllib
from collections.abc import Callable, Collection, Mapping
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
    """The text of a settings file: what has an effect, group by group, each value explained.

    Above come the values and groups of the ``header``, such as images and model.
    """
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment(f"Repeat with: geodesic {job} --config settings.toml -o FOLDER"))
    document.add("job", tomlkit.item(job))
    nested, inert = settings.as_nested(), settings.all_inert()
    groups = {name: v for name, v in (header or {}).items() if isinstance(v, Mapping)}
    for name, value in (header or {}).items():
        if name not in groups:
            document.add(name, value)
    plain = {k: v for k, v in nested.items() if not isinstance(v, Mapping)}
    _fill(document, type(settings), plain, inert, blank=True)
    for name, values in groups.items():
        table = tomlkit.table()
        for key, value in values.items():
            if value is not None:
                table.add(key, value)
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
    if kind not in PARSERS:
        raise SettingsError(f"{file} is neither .toml, .yaml nor .json")
    try:
        text = file.read_text(encoding="utf-8")
        found = PARSERS[kind](text)
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # each format has an error of its own
        raise SettingsError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        raise SettingsError(f"{file} holds {type(found).__name__}; expected settings by name")
    return found


def _yaml(text: str) -> Any:
    import yaml

    return yaml.safe_load(text)


PARSERS: Mapping[str, Callable[[str], Any]] = {
    ".toml": tomllib.loads,
    ".json": json.loads,
    ".yaml": _yaml,
    ".yml": _yaml,
}
"""By the ending of a file's name, what reads it."""
