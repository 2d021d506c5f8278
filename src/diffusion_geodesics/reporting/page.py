"""The page of a report: HTML that needs no other file and no network."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from diffusion_geodesics.reporting.drawing import shown
from diffusion_geodesics.reporting.embedded import EmbeddedFilm
from diffusion_geodesics.reporting.report import Report
from diffusion_geodesics.reporting.views import cost_table, settings_table, view

LISTED_FROM = 7
"""Sections from which on a page begins with a list of them."""


def render(report: Report, films: Mapping[str, EmbeddedFilm]) -> str:
    """The report as HTML text. All text of the report is escaped; all media are inside."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    sections = [
        (number, section, [view(b, f"s{number}-{i}", films) for i, b in enumerate(section.blocks)])
        for number, section in enumerate(report.sections)
    ]
    titled = [(number, section.title) for number, section, _ in sections if section.title]
    return environment.from_string(_file("report.html.j2")).render(
        style=_file("style.css"),
        report=report,
        opening=[view(block, f"o{i}", films) for i, block in enumerate(report.opening)],
        sections=sections,
        contents=titled if len(titled) >= LISTED_FROM else [],
        cost=view(cost_table(report.cost), "cost", films) if report.cost else None,
        settings=(table := settings_table(report.settings)) and view(table, "settings", films),
    )


def _printable(value: object) -> object:
    """Text as XML can hold it. What is marked as safe stays."""
    return shown(value) if type(value) is str else value


def _file(name: str) -> str:
    files = resources.files("diffusion_geodesics.reporting")
    return files.joinpath("templates", name).read_text(encoding="utf-8")
