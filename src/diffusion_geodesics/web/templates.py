"""The page's own pieces of HTML: text in, escaped; the templates are files in ``assets``."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """A template of ``assets`` with values filled in; all text is escaped."""
    return _environment().from_string(asset(f"{template}.html.j2")).render(**values)


def asset(name: str) -> str:
    """The text of a file in ``assets``."""
    return resources.files("diffusion_geodesics.web").joinpath("assets", name).read_text("utf-8")


def alert(*sentences: str) -> str:
    """Sentences that are read out at once; empty for none."""
    from markupsafe import escape

    lines = "".join(f"<p>{escape(s)}</p>" for s in sentences if s)
    return f'<div class="alert" role="alert">{lines}</div>' if lines else ""


@cache
def _environment() -> Environment:
    from jinja2 import Environment, StrictUndefined

    return Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
