"""Settings as Gradio components, made from the settings models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias

import gradio as gr

from diffusion_geodesics.runtime.settings import JobSettings
from diffusion_geodesics.web.fields import Field, Form, field_value, fields_of

Controls: TypeAlias = dict[str, Any]
"""Components by the name of the setting."""


def control(field: Field) -> Any:
    """The component of one setting."""
    info = " ".join(filter(None, (field.info, field.limits)))
    common = {"label": field.label, "info": info, "value": field_value(field, field.value)}
    match field.form:
        case Form.TICK:
            return gr.Checkbox(**common)
        case Form.CHOICE:
            return gr.Dropdown(choices=list(field.choices), filterable=False, **common)
        case Form.CHOICES:
            return gr.Dropdown(choices=list(field.choices), multiselect=True, **common)
        case Form.NUMBER if not field.optional:
            # limits are checked with the settings, which say in a sentence what is wrong
            return gr.Number(step=field.step, precision=0 if field.whole else None, **common)
        case Form.NUMBER | Form.TEXT:
            placeholder = "by itself" if field.optional else None
            return gr.Textbox(max_lines=1, placeholder=placeholder, **common)


def control_row(cls: type[JobSettings], names: Sequence[str]) -> Controls:
    """Components of some settings side by side."""
    fields = fields_of(cls)
    with gr.Row(elem_classes="fields"):
        return {name: control(fields[name]) for name in names}


def control_accordion(
    cls: type[JobSettings], title: str = "All settings", without: Sequence[str] = ()
) -> Controls:
    """Components of all other settings in a folded part of the page, under their groups."""
    fields = [f for name, f in fields_of(cls).items() if name not in without]
    order = list(dict.fromkeys(f.group for f in fields))
    fields.sort(key=lambda f: order.index(f.group))
    found: Controls = {}
    with gr.Accordion(title, open=False, elem_classes="settings"):
        for group, members in groupby(fields, key=lambda f: f.group):
            gr.Markdown(f"#### {group}")
            with gr.Row(elem_classes="fields"):
                found |= {field.name: control(field) for field in members}
    return found


def named_values(controls: Mapping[str, Any], values: Sequence[Any]) -> dict[str, Any]:
    """Values of components by the names of their settings."""
    return dict(zip(controls, values, strict=True))
