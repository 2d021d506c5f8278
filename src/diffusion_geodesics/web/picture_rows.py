"""The pictures of a film as numbered rows: dropped, pasted or taken from the examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, final

import gradio as gr
from markupsafe import escape

from diffusion_geodesics.web.pictures import MOST, Entries, added, moved, prompted, removed
from diffusion_geodesics.web.runner import QUIET, Updates
from diffusion_geodesics.web.templates import alert

EXAMPLES = {
    "Two portraits": ("portrait_a.jpg", "portrait_b.jpg"),
    "A head that turns": ("turn_a.jpg", "turn_b.jpg"),
    "Three portraits": ("portrait_a.jpg", "turn_a.jpg", "portrait_b.jpg"),
}
"""Files in ``assets`` by what they show."""


@final
@dataclass(frozen=True)
class Row:
    """The components of one picture."""

    box: Any
    picture: Any
    prompt: Any
    up: Any
    down: Any
    remove: Any


@final
@dataclass(frozen=True, eq=False)
class PictureRows:
    """The pictures of a film on the page."""

    entries: Any
    drop: Any
    message: Any
    rows: tuple[Row, ...]

    @property
    def prompts(self) -> list[Any]:
        """The fields beside the pictures."""
        return [row.prompt for row in self.rows]

    @property
    def shown(self) -> list[Any]:
        """What changes with the pictures."""
        parts = [part for row in self.rows for part in (row.box, row.picture, row.prompt)]
        return [self.entries, self.drop, self.message, *parts]

    def show(self, entries: Entries, problems: Sequence[str] = ()) -> Updates:
        """The page with these pictures."""
        found: Updates = {
            self.entries: entries,
            self.drop: None,
            self.message: alert(*problems),
        }
        for number, row in enumerate(self.rows):
            there = number < len(entries)
            found[row.box] = gr.update(visible=there)
            found[row.picture] = _picture(entries, number) if there else ""
            found[row.prompt] = entries[number].prompt if there else ""
        return found


def picture_rows() -> PictureRows:
    """Lay them out and connect their buttons."""
    entries = gr.State(())
    drop = gr.File(
        label="Drop or paste 2 to 12 pictures here",
        file_count="multiple",
        file_types=["image"],
        height=140,
        elem_id="drop",
    )
    with gr.Row(elem_classes="examples"):
        gr.HTML("<span>or try</span>", elem_classes="hint")
        buttons = {gr.Button(name, size="sm"): files for name, files in EXAMPLES.items()}
    message = gr.HTML(elem_id="picture-message", elem_classes="message")
    with gr.Column(elem_classes="picture-rows"):
        rows = tuple(_row(number) for number in range(MOST))
    found = PictureRows(entries, drop, message, rows)
    _connect(found, buttons)
    return found


def _row(number: int) -> Row:
    with gr.Row(visible=False, elem_classes="picture-row") as box:
        picture = gr.HTML(elem_classes="picture")
        prompt = gr.Textbox(
            show_label=False,
            label=f"What picture {number + 1} shows",
            placeholder="what it shows (optional)",
            max_lines=1,
            container=False,
            elem_classes="prompt",
        )
        with gr.Row(elem_classes="moves"):
            names = (("↑", "up"), ("↓", "down"), ("✕", "remove"))
            up, down, remove = (
                gr.Button(sign, size="sm", elem_id=f"{name}-{number + 1}") for sign, name in names
            )
    return Row(box, picture, prompt, up, down, remove)


def _picture(entries: Entries, number: int) -> str:
    entry = entries[number]
    name = escape(entry.name)
    return (
        f'<span class="number">{number + 1}</span><img src="{entry.thumbnail}" '
        f'alt="picture {number + 1}: {name}" title="{name}">'
    )


def _connect(found: PictureRows, examples: dict[Any, tuple[str, ...]]) -> None:
    def add(entries: Entries, files: list[str] | None, *prompts: str) -> Updates:
        return found.show(*added(prompted(entries, prompts), files or []))

    direct = {"queue": False, **QUIET}
    found.drop.upload(add, [found.entries, found.drop, *found.prompts], found.shown, **direct)
    for button, files in examples.items():
        button.click(_example(found, files), None, found.shown, **direct)
    for number, row in enumerate(found.rows):
        inputs = [found.entries, *found.prompts]
        row.up.click(_change(found, moved, number, -1), inputs, found.shown, **direct)
        row.down.click(_change(found, moved, number, 1), inputs, found.shown, **direct)
        row.remove.click(_change(found, removed, number), inputs, found.shown, **direct)


def _example(found: PictureRows, files: Sequence[str]) -> Any:
    assets = resources.files("diffusion_geodesics.web").joinpath("assets")
    return lambda: found.show(*added((), [str(assets.joinpath(file)) for file in files]))


def _change(found: PictureRows, change: Any, number: int, *more: int) -> Any:
    def act(entries: Entries, *prompts: str) -> Updates:
        return found.show(change(prompted(entries, prompts), number, *more))

    return act
