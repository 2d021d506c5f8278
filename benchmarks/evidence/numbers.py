"""Looking things up in the results, for claims, tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Data = dict[str, Any]

AGAINST = {"slerp": "wins", "lerp": "wins_lerp"}


def study(data: Data, name: str, group: str = "all pairs") -> Data | None:
    """A study of one group of pairs; None where it was not made."""
    for found in data["studies"]:
        if found["name"] == name and found.get("group", "all pairs") == group:
            return found
    return None


def row(part: Data | None, method: str) -> Data | None:
    """A method of a study; None where it is not in it."""
    rows: Sequence[Data] = [] if part is None else part["rows"]
    return next((r for r in rows if r["method"] == method), None)


def value(
    data: Data, name: str, method: str, quantity: str, group: str = "all pairs"
) -> Data | None:
    """A mean with its interval; None where it was not measured."""
    found = row(study(data, name, group), method)
    return None if found is None else found["values"].get(quantity)


def wins(
    data: Data, name: str, method: str, quantity: str, rival: str, group: str = "all pairs"
) -> Data | None:
    """Share of pairs that a method wins, with its interval; None where it was not measured."""
    found = row(study(data, name, group), method)
    return None if found is None else found[AGAINST[rival]].get(quantity)


def number(value: float | None) -> str:
    """Three significant digits or so; a dash for nothing."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if size >= 0.095 or size == 0 else f"{value:.2g}"


def with_interval(told: Data | None) -> str:
    """A mean and its interval."""
    if not told:
        return "–"
    if told.get("low") is None:
        return number(told["mean"])
    return f"{number(told['mean'])} [{number(told['low'])}, {number(told['high'])}]"


def percent(told: Data | None) -> str:
    """A share and its interval, in percent."""
    if not told:
        return "–"
    share = f"{100 * told['mean']:.0f}%"
    if told.get("low") is None:
        return share
    return f"{share} [{100 * told['low']:.0f}, {100 * told['high']:.0f}]"


def above(told: Data | None, bound: float = 0.5) -> bool:
    """Whether an interval lies above a bound."""
    return told is not None and told.get("low") is not None and told["low"] > bound


def below(told: Data | None, bound: float = 0.5) -> bool:
    """Whether an interval lies below a bound."""
    return told is not None and told.get("high") is not None and told["high"] < bound
