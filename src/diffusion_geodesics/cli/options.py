"""Options that several commands share, and how they are read."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from diffusion_geodesics.framing import Fit
    from diffusion_geodesics.models import DiffusionModel
    from diffusion_geodesics.shell import ProgressBars

MODEL, PATH, FRAMES, OUTPUT = "Model", "Path", "Frames", "Output"
"""Panels of the help."""

console = Console(stderr=True, highlight=False)


class Dtype(Enum):
    """Precision of the networks."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


class FitMode(Enum):
    """How images of another aspect ratio are brought to the working size."""

    CROP = "crop"
    PAD = "pad"

    @property
    def fit(self) -> Fit:
        """The rule itself."""
        from diffusion_geodesics.framing import CentreCrop, Pad

        return Pad() if self is FitMode.PAD else CentreCrop()


ModelOption = Annotated[
    str,
    typer.Option(
        help="'embedded', the folder of a diffusers pipeline, or a hub id.",
        rich_help_panel=MODEL,
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option(help="cuda, mps or cpu; the first there is.", rich_help_panel=MODEL),
]
DtypeOption = Annotated[
    Dtype, typer.Option(help="Precision of the networks.", rich_help_panel=MODEL)
]
RevisionOption = Annotated[
    str | None, typer.Option(help="Revision of a hub id.", rich_help_panel=MODEL)
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Never use the network.", rich_help_panel=MODEL)
]
SizeOption = Annotated[
    str | None,
    typer.Option(
        help="Edge, or HEIGHTxWIDTH, in pixels; the model's own size by default.",
        rich_help_panel=FRAMES,
    ),
]
FitOption = Annotated[
    FitMode, typer.Option(help="Crop or pad images of another shape.", rich_help_panel=FRAMES)
]
OutputOption = Annotated[
    Path, typer.Option("-o", "--output", help="Folder to write.", rich_help_panel=OUTPUT)
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace an earlier run in the folder.", rich_help_panel=OUTPUT
    ),
]


def parse_size(text: str | None) -> int | tuple[int, int] | None:
    """'512' as an edge, '512x768' as (height, width).

    Raises:
        ValueError: anything else.
    """
    if text is None:
        return None
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(p.strip().isdigit() for p in parts):
        raise ValueError(f"size is {text!r}; expected an edge such as 512, or 512x768")
    numbers = [int(p) for p in parts]
    return numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def open_model(
    bars: ProgressBars,
    name: str,
    device: str | None,
    dtype: Dtype,
    revision: str | None,
    offline: bool,
) -> DiffusionModel:
    """Load a model with a progress bar, keeping the libraries' own notices off the terminal."""
    import torch

    from diffusion_geodesics.apps import Event
    from diffusion_geodesics.models import load_model
    from diffusion_geodesics.shell import quiet_libraries

    bars(Event("load", 0, 1))
    quiet_libraries()
    model = load_model(
        name,
        device=device,
        dtype=getattr(torch, dtype.value),
        revision=revision,
        local_files_only=offline,
    )
    bars(Event("load", 1, 1))
    return model
