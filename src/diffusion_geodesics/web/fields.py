"""What form a setting takes on the page, from its description in the settings model; no Gradio."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt, MultipleOf

from diffusion_geodesics.latents.settings import AsText
from diffusion_geodesics.runtime.settings import FlatField, JobSettings, Tree, flat_fields, value_at


class Form(Enum):
    """What a setting is edited with."""

    TICK = "tick"
    CHOICE = "choice"
    CHOICES = "choices"
    NUMBER = "number"
    TEXT = "text"


@dataclass(frozen=True)
class Field:
    """A setting on the page.

    Args:
        name: flat name of the setting.
        group: heading that it stands under.
        form: what it is edited with.
        label, info: its name and description in words.
        value: its default, as the form shows it.
        choices: of a choice.
        minimum, maximum, step: of a number; None where there is no limit.
        whole: whether a number is a whole one.
        optional: whether it may be left empty.
    """

    name: str
    group: str
    form: Form
    label: str
    info: str
    value: Any
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    step: float = 1
    whole: bool = False
    optional: bool = False

    @property
    def limits(self) -> str:
        """The limits of a number in words."""
        if self.minimum is None or self.maximum is None:
            return "" if self.minimum in (None, 0) else f"At least {self.minimum:g}."
        return f"From {self.minimum:g} to {self.maximum:g}."


def fields_of(cls: type[JobSettings]) -> dict[str, Field]:
    """A field for every setting that a visitor may choose, by its name.

    Settings that name a file or folder of the machine are left out.
    """
    found = {
        name: _field(name, field, shown(value_at(cls(), field.path)))
        for name, field in flat_fields(cls).items()
        if not _has(field.info.annotation, Path)
    }
    return {name: field for name, field in found.items() if field is not None}


def shown(value: Any) -> Any:
    """A value as the page shows it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [shown(each) for each in value]
    return value


def settings_from(cls: type[Tree], preset: str | None, values: Mapping[str, Any]) -> Tree:
    """Settings from what the page's fields hold.

    Raises:
        SettingsError: as `JobSettings.of`.
    """
    fields, start = fields_of(cls), preset_values(cls, preset)
    given = {}
    for name, value in values.items():
        found = _entered(fields[name], value)
        if found != _entered(fields[name], start[name]):
            given[name] = found
    return cls.of(**given) if preset is None else cls.preset(preset, **given)


def preset_values(cls: type[JobSettings], preset: str | None) -> dict[str, Any]:
    """What the fields show after a preset was chosen."""
    chosen = {} if preset is None else cls.presets[preset]
    return {
        name: field_value(field, shown(chosen[name]) if name in chosen else field.value)
        for name, field in fields_of(cls).items()
    }


def field_value(field: Field, value: Any) -> Any:
    """A plain value as its field shows it: lists in a text field as one text."""
    if field.form is Form.TEXT and isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None and field.form in (Form.TEXT, Form.NUMBER) else value


def _entered(field: Field, value: Any) -> Any:
    """What was entered as the settings take it; a field left empty is its default."""
    if field.form is Form.NUMBER and isinstance(value, int | float):
        return int(value) if field.whole and float(value).is_integer() else float(value)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None if field.optional else field_value(field, field.value)
    return tuple(value) if isinstance(value, list) else value


def _field(name: str, field: FlatField, value: Any) -> Field | None:
    kind, optional = _plain(field.info.annotation)
    basic = {
        "name": name,
        "group": getattr(field.group, "title", "General"),
        "label": name.replace("_", " "),
        "info": " ".join((field.info.description or "").split()),
        "value": value,
        "optional": optional,
    }
    if kind is bool:
        return Field(form=Form.TICK, **basic)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return Field(form=Form.CHOICE, choices=tuple(m.value for m in kind), **basic)
    inner = get_args(kind)[0] if get_origin(kind) is tuple else None
    if isinstance(inner, type) and issubclass(inner, Enum):
        return Field(form=Form.CHOICES, choices=tuple(m.value for m in inner), **basic)
    if kind in (int, float):
        return Field(form=Form.NUMBER, whole=kind is int, **basic, **_limits(field, kind))
    if kind is str or any(isinstance(m, AsText) for m in field.info.metadata):
        return Field(form=Form.TEXT, **basic)
    return None


def _limits(field: FlatField, kind: type) -> dict[str, Any]:
    """Limits of a number; those that a value must not reach are left to the settings' own check."""
    default = field.info.default or 0.0
    found: dict[str, Any] = {"step": 1 if kind is int or default >= 5 else 0.05}
    if 0 < default < found["step"]:
        found["step"] = default
    for mark in field.info.metadata:
        match mark:
            case Ge(ge=limit) | Gt(gt=limit):
                found["minimum"] = limit
            case Le(le=limit) | Lt(lt=limit):
                found["maximum"] = limit
            case MultipleOf(multiple_of=step):
                found["step"] = step
            case Interval(ge=low, le=high):
                found |= {"minimum": low, "maximum": high}
    if found.get("maximum", 0) >= 1e5:
        del found["maximum"]
    return found


def _plain(kind: Any) -> tuple[Any, bool]:
    """A type without None, and whether it allowed it."""
    if get_origin(kind) in (Union, UnionType):
        parts = [part for part in get_args(kind) if part is not NoneType]
        optional = len(parts) < len(get_args(kind))
        return (parts[0] if len(parts) == 1 else Union[tuple(parts)]), optional  # noqa: UP007
    return kind, False


def _has(kind: Any, wanted: type) -> bool:
    return kind is wanted or any(_has(part, wanted) for part in get_args(kind))
