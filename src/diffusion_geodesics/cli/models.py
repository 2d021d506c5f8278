"""`geodesic models`: the families there are, and the models found on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from diffusion_geodesics.models import LocalModel, ModelFamily

__all__ = ["models"]


def models(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders to look into: of one pipeline, or of many.", show_default=""),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the model families and the models found on this machine.

    Looks at the embedded model, the cache of the Hugging Face hub and the FOLDERS given. Nothing
    is downloaded; the name in the first column is what --model takes.
    """
    from diffusion_geodesics.models import FAMILIES, local_models

    found = local_models(folders or ())
    if as_json:
        families = [
            {
                "name": family.name,
                "pipelines": list(family.pipelines),
                "prediction": family.prediction,
                "prompt": family.prompt,
                "caveat": family.note,
            }
            for family in FAMILIES
        ]
        print(json.dumps({"families": families, "found": [asdict(m) for m in found]}, indent=2))
        return
    console = Console(highlight=False)
    console.print(_families(FAMILIES))
    for family in FAMILIES:
        if family.note:
            console.print(f"note: {family.name} is {family.note}", soft_wrap=True, markup=False)
    console.print(_found(found))


def _families(families: tuple[ModelFamily, ...]) -> Table:
    table = Table(title="Families", title_justify="left", title_style="bold")
    for column in ("Family", "Pipelines", "Predicts", "Prompt"):
        table.add_column(column, overflow="fold", no_wrap=column == "Pipelines")
    for family in families:
        pipelines = "\n".join(family.pipelines)
        table.add_row(family.name, pipelines, family.prediction, family.prompt)
    return table


def _found(found: tuple[LocalModel, ...]) -> Table:
    table = Table(title="Found on this machine", title_justify="left", title_style="bold")
    for column in ("Model", "Family", "Revision"):
        table.add_column(column, overflow="fold")
    table.add_column("Weights", justify="right")
    for model in found:
        family = model.family or f"none opens a {model.pipeline}"
        table.add_row(model.name, family, model.revision[:12], _size(model.bytes))
    return table


def _size(count: int) -> str:
    if not count:
        return "not here"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
