"""Options made from settings: every leaf of a settings tree is an option, every group a panel.

The options that were given are laid over those of a configuration file; what comes out is validated
as the settings of the command.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypedDict, TypeVar, Union, get_args, get_origin

from cyclopts import Group, Parameter

from diffusion_geodesics.latents.settings import AsText
from diffusion_geodesics.runtime import settings
from diffusion_geodesics.runtime.paths import expand
from diffusion_geodesics.runtime.settings import JobSettings
from diffusion_geodesics.runtime.settings_file import read_settings_file

Settings = TypeVar("Settings", bound=JobSettings)
Command = TypeVar("Command", bound=Callable[..., None])

_FIRST = Group("Settings", sort_key=0)
_CONFIG_HELP = "Read options from a .toml or .yaml file; those given here go first."
ConfigOption = Annotated[Path | None, Parameter(help=_CONFIG_HELP, group=_FIRST)]
PresetOption = Annotated[
    str | None, Parameter(help="Start from a named set of options.", group=_FIRST)
]
AuthorsOption = Annotated[
    Path | None,
    Parameter(
        help="Read a configuration file of the paper's authors; options given here go first.",
        group=_FIRST,
    ),
]
Given = dict[str, Any] | None  # the options that were given; `takes` says which there are

PANELS = (
    "Settings, Batch, Output, Server, Options, Direction (exactly one of the first six), Ray, "
    "Analysis, Clip, Frames, Mask, Film files, Measures, Density, Prompts, Prompt, Size, "
    "Model, Noise level, Distance, Metric, Solver, Remedies"
).split(", ")
"""Panels of the help, in order."""
SHORT = ("output", "method")  # options that can be given by their first letter
HEADER = ("job", "program", "versions")  # names in a file of settings that are for the record


def takes(cls: type[JobSettings], *arguments: str) -> Callable[[Command], Command]:
    """Let a command take an option for every leaf of a settings tree but its ``arguments``."""

    def mark(command: Command) -> Command:
        options = options_of(cls, without=arguments) | None
        command.__annotations__["options"] = Annotated[options, Parameter(name="*")]
        return command

    return mark


def options_of(cls: type[JobSettings], *, without: tuple[str, ...] = ()) -> Any:
    """A dictionary type with an optional key for every leaf of a settings tree."""
    defaults = cls()
    fields = {
        name: _annotated(name, field, _shown(settings.value_at(defaults, field.path)))
        for name, field in settings.flat_fields(cls).items()
        if name not in without
    }
    return TypedDict(f"{cls.__name__}Options", fields, total=False)  # type: ignore[operator]


def _shown(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return ",".join(str(_shown(v)) for v in value) if value else None
    return None if value == "" else value


def _annotated(name: str, field: settings.FlatField, default: Any) -> Any:
    """The type by which an option is read, with its text and panel."""
    title = getattr(field.group, "title", "Options")
    text = " ".join((field.info.description or "").split())
    if default is not None and default is not False:
        text += f" [default: {'yes' if default is True else default}]"
    group = Group(title, sort_key=PANELS.index(title) if title in PANELS else len(PANELS))
    names = [f"--{name}", f"-{name[0]}"] if name in SHORT else None
    negative = None if default is True else ""
    parameter = Parameter(names, help=text, group=group, negative=negative, negative_iterable="")
    as_text = any(isinstance(m, AsText) for m in field.info.metadata)
    return Annotated[str | None if as_text else _plain(field.info.annotation) | None, parameter]


def _plain(kind: Any) -> Any:
    """A type without the names of its alternatives: enums as their values."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Literal[tuple(member.value for member in kind)]
    if get_origin(kind) in (Union, UnionType):
        return Union[tuple(_plain(part) for part in get_args(kind))]  # noqa: UP007
    if get_origin(kind) is tuple:
        return tuple[tuple(_plain(part) for part in get_args(kind))]  # type: ignore[misc]
    return kind


def given(options: Mapping[str, Any] | None, **arguments: Any) -> dict[str, Any]:
    """Options and arguments of a command line by their flat names."""
    return {**(options or {}), **{name: value for name, value in arguments.items() if value}}


def chosen(
    cls: type[Settings],
    options: Mapping[str, Any] | None,
    config: Path | None = None,
    preset: str | None = None,
    **arguments: Any,
) -> Settings:
    """The settings of a command: options, above a preset, above a file, above the file's preset."""
    values = given(options, **arguments)
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
        found = settings.flattened(cls, content)
    except settings.SettingsError as error:
        raise settings.SettingsError(f"{config}: {error}") from None
    folder, places = expand(config).parent.resolve(), settings.flat_fields(cls)
    found = {name: _beside_file(places[name], value, folder) for name, value in found.items()}
    return found if preset is None else {**found, "preset": preset}


def _beside_file(field: settings.FlatField, value: Any, folder: Path) -> Any:
    """A value from a file in this folder: inputs are relative to it; outputs and caches, as on the
    command line, to the folder where the command runs."""
    if isinstance(value, list):
        return [_beside_file(field, each, folder) for each in value]
    marks = field.info.metadata
    if not isinstance(value, str) or settings.Marker.OUTPUT in marks:
        return value
    if settings.Marker.NAME_OR_FOLDER in marks:
        return str(folder / value) if (folder / value).is_dir() else value
    if settings.Marker.NAMED_FOLDER in marks:
        name, equals, path = value.rpartition("=")
        return f"{name}{equals}{folder / expand(path)}"
    return str(folder / expand(value)) if _holds_path(field.info.annotation) else value


def _holds_path(kind: Any) -> bool:
    return kind is Path or any(_holds_path(part) for part in get_args(kind))
