"""Options made from settings: every leaf of a settings tree is an option, every group a panel.

The options that were given are laid over those of a configuration file; what comes out is validated
as the settings of the command.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypedDict, TypeVar, Union, get_args, get_origin

from cyclopts import Group, Parameter

from diffusion_geodesics.cli.config_paths import beside_file
from diffusion_geodesics.latents.settings import AsText
from diffusion_geodesics.runtime.paths import expand
from diffusion_geodesics.runtime.settings import (
    FlatField,
    JobSettings,
    SettingsError,
    SettingsGroup,
    flat_fields,
    flattened,
)
from diffusion_geodesics.runtime.settings_file import read_settings_file

Settings = TypeVar("Settings", bound=JobSettings)

ConfigOption = Annotated[
    Path | None,
    Parameter(
        help="Read options from a .toml or .yaml file; those given here go first.",
        group=Group("Settings", sort_key=0),
    ),
]
PresetOption = Annotated[
    str | None,
    Parameter(help="Start from a named set of options.", group=Group("Settings", sort_key=0)),
]

PANELS = (
    "Settings",
    "Batch",
    "Output",
    "Server",
    "Options",
    "Direction (exactly one of the first six)",
    "Ray",
    "Analysis",
    "Clip",
    "Frames",
    "Mask",
    "Film files",
    "Measures",
    "Density",
    "Prompts",
    "Prompt",
    "Size",
    "Model",
    "Noise level",
    "Metric",
    "Solver",
    "Remedies",
)
"""Panels of the help, in order."""
HEADER = ("job", "program", "versions")
"""Names in a file of settings that are for the record."""


def options_of(cls: type[JobSettings], *, without: tuple[str, ...] = ()) -> Any:
    """A dictionary type with an optional key for every leaf of a settings tree."""
    defaults = cls()
    fields = {
        name: _annotated(name, field, _shown(_default(defaults, field)))
        for name, field in flat_fields(cls).items()
        if name not in without
    }
    return TypedDict(f"{cls.__name__}Options", fields, total=False)  # type: ignore[operator]


def _default(defaults: SettingsGroup, field: FlatField) -> Any:
    value: Any = defaults
    for name in field.path:
        value = getattr(value, name)
    return value


def _shown(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return ",".join(str(_shown(v)) for v in value) if value else None
    return None if value == "" else value


def _annotated(name: str, field: FlatField, default: Any) -> Any:
    """The type by which an option is read, with its text and panel."""
    title = getattr(field.group, "title", "Options")
    text = " ".join((field.info.description or "").split())
    if default is not None and default is not False:
        text += f" [default: {'yes' if default is True else default}]"
    parameter = Parameter(
        help=text,
        group=Group(title, sort_key=PANELS.index(title) if title in PANELS else len(PANELS)),
        negative=None if default is True else "",
        negative_iterable="",
        **_ALIASES.get(name, {}),
    )
    if any(isinstance(m, AsText) for m in field.info.metadata):
        return Annotated[str | None, parameter]
    return Annotated[_plain(field.info.annotation) | None, parameter]


_ALIASES: dict[str, dict[str, Any]] = {
    "output": {"name": ["--output", "-o"]},
    "method": {"name": ["--method", "-m"]},
}


def _plain(kind: Any) -> Any:
    """A type without the names of its alternatives: enums as their values."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Literal[tuple(member.value for member in kind)]
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(_plain(part) for part in get_args(kind))]  # noqa: UP007
    if get_origin(kind) is tuple:
        return tuple[tuple(_plain(part) for part in get_args(kind))]  # type: ignore[misc]
    return kind


def chosen(
    cls: type[Settings],
    options: Mapping[str, Any] | None,
    config: Path | None = None,
    preset: str | None = None,
    **arguments: Any,
) -> Settings:
    """The settings of a command: options, above a preset, above a file, above the file's preset."""
    values = dict(options or {})
    values |= {name: value for name, value in arguments.items() if value}
    if preset is not None:
        values = cls.preset(preset, **values).explicit()
    if config is None:
        return cls.of(**values)
    below = from_file(cls, config)
    named = below.pop("preset", None)
    values = cls.layered(below, values)
    return cls.of(**values) if named is None else cls.preset(named, **values)


def from_file(cls: type[JobSettings], config: Path) -> dict[str, Any]:
    """The settings that a file gives, by their flat names; inputs are relative to the file."""
    content = {k: v for k, v in read_settings_file(config).items() if k not in HEADER}
    preset = content.pop("preset", None)
    try:
        found = flattened(cls, content)
    except SettingsError as error:
        raise SettingsError(f"{config}: {error}") from None
    found = beside_file(cls, found, expand(config).parent)
    return found if preset is None else {**found, "preset": preset}
