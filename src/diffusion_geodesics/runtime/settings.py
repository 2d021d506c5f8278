"""Settings: frozen models, written once, from which everything else is made.

A job's settings are a tree of groups. Every leaf has a name of its own in the whole tree, so that
it can be given flat (``frames=33``) or nested (``[metric] strength = 3`` in a file). What concerns
several values together is checked by :meth:`JobSettings.checked`, which every job calls first.
"""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache, reduce
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, final

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic.fields import FieldInfo

from diffusion_geodesics.runtime.paths import expand


class SettingsError(ValueError):
    """Settings that cannot be used; one line says which, what was got and what was expected."""


class Marker(Enum):
    """What text in a field stands for, where its type does not say."""

    OUTPUT = "a path that is written to, relative to the working folder even in a settings file"
    NAME_OR_FOLDER = "the name of something, or the folder that it is in"
    NAMED_FOLDER = "a folder, or NAME=FOLDER"


class SettingsGroup(BaseModel):
    """Some settings that belong together: frozen, and closed to names it does not know."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )

    @field_validator("*")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        """Paths with a leading ``~`` replaced, alone or in a tuple."""
        if isinstance(value, tuple):
            return tuple(cls._expand(each) for each in value)
        return expand(value) if isinstance(value, Path) else value

    def inert(self) -> Mapping[str, str]:
        """Settings of this group that can have no effect with the others as they are: by name, the
        reason, to complete "NAME has no effect, because"."""
        return {}


Preset = Mapping[str, Any]  # values of some settings, by their flat names
Tree = TypeVar("Tree", bound="JobSettings")


class JobSettings(SettingsGroup):
    """The settings of a job: a tree of groups.

    - `presets`: sets of values by name.
    - `exclusive`: pairs of flat names of which one replaces the other.
    """

    presets: ClassVar[Mapping[str, Preset]] = {}
    exclusive: ClassVar[tuple[tuple[str, str], ...]] = ()

    @classmethod
    def of(cls: type[Tree], **values: Any) -> Tree:
        """Settings from values by their flat names; `SettingsError` for a name that there is not, a
        value that is not allowed, or settings that do not go together."""
        return cls._from_flat(values).checked()

    @classmethod
    def preset(cls: type[Tree], name: str, **values: Any) -> Tree:
        """A preset, with values that replace some of it; what has no effect in it, or is left
        without effect by these, is left out."""
        if name not in cls.presets:
            known = ", ".join(cls.presets) or "none"
            raise SettingsError(f"got the preset {name!r}; expected one of: {known}")
        kept = cls._not_replaced(cls.presets[name], values)
        inert = cls._from_flat({**kept, **values}).all_inert()
        return cls.of(**{k: v for k, v in kept.items() if k not in inert}, **values)

    def updated(self: Tree, **values: Any) -> Tree:
        """These settings with other values, by their flat names; what was given before and is left
        without effect by these is left out."""
        return self.of(**self.layered(self.explicit(), values))

    @classmethod
    def layered(cls, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
        """Values above others, by their flat names.

        What the values above replace, or leave without effect, is taken away from those below. What
        had no effect before stays, so that it is complained about.
        """
        kept = cls._not_replaced(below, above)
        before = cls._from_flat(below).all_inert()
        after = cls._from_flat({**kept, **above}).all_inert()
        ended = set(after) - set(before)
        return {**{key: value for key, value in kept.items() if key not in ended}, **above}

    @classmethod
    def _not_replaced(cls, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
        """The values below that none above is given in place of."""
        pairs = [pair[::order] for pair in cls.exclusive for order in (1, -1)]
        replaced = {other for given, other in pairs if given in above}
        return {k: v for k, v in below.items() if k not in above and k not in replaced}

    @classmethod
    def _from_flat(cls: type[Tree], values: Mapping[str, Any]) -> Tree:
        places = flat_fields(cls)
        nested: dict[str, Any] = {}
        for name, value in values.items():
            if name not in places:
                raise SettingsError(unknown_name(name, places, "setting"))
            *groups, leaf = places[name].path
            reduce(lambda at, group: at.setdefault(group, {}), groups, nested)[leaf] = value
        try:
            return cls.model_validate(nested)
        except ValidationError as error:
            raise SettingsError(one_line(error)) from None

    def explicit(self) -> dict[str, Any]:
        """The values that were given rather than left to their defaults, by their flat names."""
        fields = flat_fields(type(self)).items()
        return {name: value_at(self, f.path) for name, f in fields if _is_set(self, f.path)}

    def all_inert(self) -> dict[str, str]:
        """Every setting of the tree that can have no effect, with the reason."""
        found: dict[str, str] = {}
        for group in (self, *_groups(self)):
            found |= group.inert()
        return found

    def checked(self: Tree) -> Tree:
        """These settings, if they go together; `SettingsError` where one was given that can have no
        effect, or where they contradict each other."""
        given = self.explicit()
        for name, reason in self.all_inert().items():
            if name in given:
                raise SettingsError(f"{name} has no effect, because {reason}; leave it out")
        for first, second in self.exclusive:
            if all(given.get(name) not in (None, False) for name in (first, second)):
                raise SettingsError(f"got both {first} and {second}; give one of them")
        self.check()
        return self

    def check(self) -> None:
        """Raise `SettingsError` where settings contradict each other. A job adds its own rules."""

    def as_nested(self) -> dict[str, Any]:
        """All values that have an effect, in groups, as plain data for JSON and TOML; settings
        that are None are left out."""
        places = flat_fields(type(self))
        chosen = {a for a in places if value_at(self, places[a].path) not in (None, False)}
        inert = set(self.all_inert()) | {b for a, b in self.exclusive if a in chosen}
        dumped = self.model_dump(mode="json", exclude_none=True)
        for name in inert:
            *groups, leaf = places[name].path
            reduce(dict.__getitem__, groups, dumped).pop(leaf, None)
        return dumped

    @classmethod
    def from_nested(cls: type[Tree], nested: Mapping[str, Any]) -> Tree:
        """Settings from data as :meth:`as_nested` gives it, nested or flat or mixed."""
        return cls._from_flat(flattened(cls, nested)).checked()


@final
@dataclass(frozen=True)
class FlatField:
    """A leaf of a settings tree."""

    path: tuple[str, ...]  # names of the groups it is in, and its own
    info: FieldInfo  # pydantic's description: type, default, constraints, text
    group: type[SettingsGroup]  # that it is in


@cache
def flat_fields(cls: type[SettingsGroup]) -> Mapping[str, FlatField]:
    """The leaves of a settings tree by their names, of which none may occur twice."""
    found: dict[str, FlatField] = {}
    for name, info in cls.model_fields.items():
        kind = info.annotation
        new = {name: FlatField((name,), info, cls)}
        if isinstance(kind, type) and issubclass(kind, SettingsGroup):
            inner = flat_fields(kind).items()
            new = {n: FlatField((name, *f.path), f.info, f.group) for n, f in inner}
        if twice := set(found) & set(new):
            raise TypeError(f"{cls.__name__} has two settings called {', '.join(sorted(twice))}")
        found |= new
    return MappingProxyType(found)


def flattened(cls: type[SettingsGroup], nested: Mapping[str, Any]) -> dict[str, Any]:
    """Values by their flat names, from nested or flat data."""
    places = flat_fields(cls)
    found: dict[str, Any] = {}

    def take(name: str, value: Any) -> None:
        if name in found:
            raise SettingsError(f"{name} is given twice; give it once")
        found[name] = value

    groups = {field.path[0]: field for field in places.values() if len(field.path) > 1}
    for key, value in nested.items():
        name = key.replace("-", "_")
        if name in places and not (name in groups and isinstance(value, Mapping)):
            take(name, value)
        elif name in groups and isinstance(value, Mapping):
            inner = {f.path[-1] for f in places.values() if f.path[0] == name}
            for leaf, content in value.items():
                plain = leaf.replace("-", "_")
                if plain not in inner:
                    raise SettingsError(unknown_name(leaf, inner, f"setting in [{key}]"))
                take(plain, content)
        else:
            raise SettingsError(unknown_name(key, {*places, *groups}, "setting"))
    return found


def unknown_name(name: str, known: Mapping[str, Any] | set[str], what: str) -> str:
    """One line about a name that there is not, with the nearest one that there is."""
    near = difflib.get_close_matches(name, list(known), 1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
    return f"there is no {what} called {name!r}; {hint}"


def one_line(error: ValidationError) -> str:
    """A validation error of pydantic in one line: setting, what was got, what was expected."""
    parts: dict[str, str] = {}
    for found in error.errors(include_url=False):
        where = [str(p) for p in found["loc"] if not str(p).startswith(("function-", "tuple["))]
        name = next((p for p in reversed(where) if p.isidentifier()), "settings")
        message = str(found["msg"]).removeprefix("Value error, ").removeprefix("Input ")
        if found["type"] == "extra_forbidden":
            parts[where[-1]] = f"there is no setting called {where[-1]!r}"
        elif name not in parts:
            parts[name] = f"{name} is {_shown(found['input'])}; it {message}"
    return "; ".join(parts.values())


def _shown(value: object) -> str:
    text = repr(value.value if isinstance(value, Enum) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _groups(settings: SettingsGroup) -> Iterator[SettingsGroup]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SettingsGroup):
            yield value
            yield from _groups(value)


def value_at(settings: SettingsGroup, path: tuple[str, ...]) -> Any:
    """The value of a leaf."""
    return reduce(getattr, path, settings)


def _is_set(settings: SettingsGroup, path: tuple[str, ...]) -> bool:
    at: Any = settings
    for name in path:
        if name not in at.model_fields_set:
            return False
        at = getattr(at, name)
    return True
