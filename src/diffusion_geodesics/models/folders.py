"""The folder of a saved pipeline: its index, its weight files, and what else lies in it.

Nothing here imports torch or a model library.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from diffusion_geodesics.models.errors import ModelError

EMBEDDED = Path(__file__).parent / "embedded"
"""The folder of the model inside this package."""

_WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_)?model(?:\.(?P<inner>\w+))?(?:-\d+-of-\d+)?(?:\.(?P<outer>\w+))?"
    r"\.safetensors"
)
"""A component's weights: variant and number of the shard in either order, as both libraries write
them."""


def read_index(folder: Path, name: str) -> dict[str, Any]:
    """The ``model_index.json`` of a pipeline's folder; `ModelError`, in which ``name`` names the
    model, if it is missing, unreadable or names no pipeline."""
    index = folder / "model_index.json"
    if not os.path.isfile(index):
        raise ModelError(
            f"{name} is a folder without model_index.json; expected a pipeline saved with "
            "save_pretrained"
        )
    try:
        saved = json.loads(index.read_text(encoding="utf-8"))
        if not isinstance(saved["_class_name"], str):
            raise TypeError("no name of a class")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"the model_index.json of {name} is damaged; save it again") from error
    return saved


def pipeline_class_name(folder: Path, name: str) -> str:
    """Which class of pipeline a folder's index names; arguments and errors as `read_index`."""
    return read_index(folder, name)["_class_name"]


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files in the component folders of a pipeline's folder, sorted. Files beside
    these folders (a LoRA, a checkpoint in one piece) are not loaded and are not among them."""
    return tuple(sorted(folder.glob("*/*.safetensors")))


def variant_among(names: Iterable[str]) -> str | None:
    """Which variant of the weights to load, by the names of a component's files (others are passed
    over): ``None`` where there are weights without a variant, or none at all; otherwise ``"fp16"``,
    ``"bf16"`` or the first of the others.
    """
    matches = [match for match in map(_WEIGHTS.fullmatch, names) if match]
    found = {match["inner"] or match["outer"] or "" for match in matches}
    if "" in found or not found:
        return None
    return min(found, key=lambda variant: (variant != "fp16", variant != "bf16", variant))
