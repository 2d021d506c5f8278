"""Looking things up in the results, and writing numbers, for claims, tables and figures."""

from __future__ import annotations

from benchmarks import rife
from benchmarks.record import Data

AGAINST = {"slerp": "wins", "lerp": "wins_lerp", rife.NAME: "wins_rife"}
"""Baselines, and the keys of win rates against them."""
ALL = "all pairs"


def study(data: Data, name: str, group: str = ALL) -> Data | None:
    """A study of one group of pairs; None where it was not made."""
    for found in data["studies"]:
        if found["name"] == name and found.get("group", ALL) == group:
            return found
    return None


def methods(part: Data | None) -> dict[str, Data]:
    """The rows of a study by method."""
    return {} if part is None else {row["method"]: row for row in part["rows"]}


def value(data: Data, name: str, method: str, quantity: str, group: str = ALL) -> Data | None:
    """A mean with its interval; None where it was not measured."""
    row = methods(study(data, name, group)).get(method)
    return None if row is None else row["values"].get(quantity)


def wins(
    data: Data, name: str, method: str, quantity: str, baseline: str, group: str = ALL
) -> Data | None:
    """Share of pairs that a method wins, with its interval; None where it was not measured."""
    row = methods(study(data, name, group)).get(method)
    return None if row is None else row.get(AGAINST[baseline], {}).get(quantity)


def number(value: float | None) -> str:
    """Three significant digits or so; a dash for nothing."""
    if value is None:
        return "–"
    size = abs(value)
    if size >= 10:
        return f"{value:,.0f}" if size >= 100 else f"{value:.1f}"
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
    return share + (
        "" if told.get("low") is None else f" [{100 * told['low']:.0f}, {100 * told['high']:.0f}]"
    )
