"""Writes docs/reference/settings.md from the settings models: ``python docs/settings_table.py``.

``make docs`` runs it, and a test compares the page with what it would write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MultipleOf
from pydantic.fields import FieldInfo

from diffusion_geodesics.latents.settings import AsText
from diffusion_geodesics.runtime.settings import JobSettings, SettingsGroup

PAGE = Path(__file__).parent / "reference" / "settings.md"
COMMANDS = {
    "interpolate": "InterpolateCommand",
    "extrapolate": "ExtrapolateCommand",
    "analyze": "AnalyzeCommand",
    "distance": "DistanceCommand",
    "density": "DensityCommand",
    "compare": "CompareCommand",
    "evaluate": "EvaluateCommand",
    "estimate": "EstimateCommand",
    "batch": "InterpolateBatch",
    "web": "WebCommand",
}
"""Commands that have settings and their classes, in the order of the page. That of `batch` depends
on its job; the one of interpolations stands for all."""

OPENING = """# Settings

<!-- Written by docs/settings_table.py from the settings models; do not edit. -->

Every setting has the same name in three places: `max_steps` is `--max-steps` on the command line,
`max_steps = 20` in a configuration file (by itself, or in the table of its group, such as
`[solve]`), and `max_steps=20` in Python. An option on the command line replaces the value in the
file (`--config`), which replaces the default. A setting that can have no effect beside the others
is refused with the reason. `geodesic COMMAND --help` shows the same as this page.
"""
KINDS = {int: "integer", float: "number", str: "text", bool: "yes or no", Path: "path"}
BOUNDS = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"), (Lt, "lt", "<"))


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """The whole page."""
    jobs = {name: _command(name) for name in COMMANDS}
    users: dict[type[SettingsGroup], list[str]] = {}
    for name, job in jobs.items():
        for group in _groups(job).values():
            users.setdefault(group, []).append(name)
    shared = [g for g, names in users.items() if len(set(names) - {"estimate", "batch"}) > 1]
    parts = [OPENING, *(_job(name, job, users, shared) for name, job in jobs.items())]
    parts.append("## Groups that several commands share\n")
    for group in shared:
        parts.append(_table(group, _key(jobs[users[group][0]], group), users[group]))
    return "\n".join(parts)


def _command(name: str) -> type[JobSettings]:
    """The settings of a command."""
    module = import_module(f"diffusion_geodesics.cli.{name}")
    return getattr(module, COMMANDS[name])


def _groups(job: type[JobSettings]) -> dict[str, type[SettingsGroup]]:
    """The groups of a job by their names in a file."""
    kinds = {name: info.annotation for name, info in job.model_fields.items()}
    return {n: k for n, k in kinds.items() if isinstance(k, type) and issubclass(k, SettingsGroup)}


def _key(job: type[JobSettings], group: type[SettingsGroup]) -> str:
    return next(key for key, kind in _groups(job).items() if kind is group)


def _job(
    name: str,
    job: type[JobSettings],
    users: Mapping[type[SettingsGroup], list[str]],
    shared: list[type[SettingsGroup]],
) -> str:
    parts = [f"## geodesic {name}\n"]
    groups, elsewhere = _groups(job), []
    if plain := [n for n in job.model_fields if n not in groups]:
        parts.append(_rows(job, plain))
    for key, group in groups.items():
        if group in shared or users[group][0] != name:
            elsewhere.append(f"[{_title(group)} `[{key}]`](#{group.__name__.lower()})")
        else:
            parts.append(_table(group, key, [name]))
    if elsewhere:
        parts.append(f"As described below or above: {', '.join(elsewhere)}.\n")
    if job.presets:
        rows = [f"| `{key}` | {_values(values)} |" for key, values in job.presets.items()]
        parts.append("\n".join(["| `--preset` | values |", "|---|---|", *rows, ""]))
    return "\n".join(parts)


def _values(preset: Mapping[str, Any]) -> str:
    return ", ".join(f"`{k} = {_plain(v)}`" for k, v in preset.items()) or "the defaults"


def _title(group: type[SettingsGroup]) -> str:
    return getattr(group, "title", group.__name__).split(" (")[0]


def _table(group: type[SettingsGroup], key: str, users: list[str]) -> str:
    head = f"### {_title(group)} `[{key}]` {{ #{group.__name__.lower()} }}\n"
    text = " ".join((group.__doc__ or "").split())
    by = f" Used by {', '.join(users)}." if len(users) > 1 else ""
    return "\n".join([head, f"{text}{by}\n", _rows(group, list(group.model_fields))])


def _rows(group: type[SettingsGroup], names: list[str]) -> str:
    lines = ["| setting | values | default | meaning |", "|---|---|---|---|"]
    for name in names:
        info = group.model_fields[name]
        text = " ".join((info.description or "").split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {_kind(info)} | {_default(info)} | {text} |")
    return "\n".join([*lines, ""])


def _kind(info: FieldInfo) -> str:
    shown = next((m.shown for m in info.metadata if isinstance(m, AsText)), None)
    words = f"`{shown}`" if shown else _type(info.annotation)
    words = words.replace("|", "\\|")
    bounds = " and ".join(_bounds(info))
    return f"{words}, {bounds}" if bounds else words


def _bounds(info: FieldInfo) -> Iterator[str]:
    for mark in info.metadata:
        for kind, attribute, sign in BOUNDS:
            if isinstance(mark, kind):
                yield f"{sign} {_number(getattr(mark, attribute))}"
        if isinstance(mark, MultipleOf):
            yield f"a multiple of {mark.multiple_of}"


def _number(value: Any) -> str:
    return "2⁶³" if value == 2**63 else f"{value:g}" if isinstance(value, float) else str(value)


def _type(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{member.value}`" for member in kind)
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_type(k) for k in get_args(kind) if k is not type(None))
    if get_origin(kind) is tuple:
        return f"{_type(get_args(kind)[0])}, several"
    return KINDS.get(kind, str(kind))


def _default(info: FieldInfo) -> str:
    value = _plain(info.default)
    return "" if value in ("", "None") else f"`{value}`"


def _plain(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return ",".join(map(_plain, value))
    return str(value)


if __name__ == "__main__":
    main()
