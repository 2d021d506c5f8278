"""The command line: parse, call, show."""

from __future__ import annotations

import sys
import warnings
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from diffusion_geodesics import __version__
from diffusion_geodesics.apps.settings import Estimate, Family, Pace, Settings

app = typer.Typer(
    name="geodesic",
    help="Probability density geodesics in the latent space of diffusion models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
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


def _version(value: bool) -> None:
    if value:
        typer.echo(f"geodesic {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Probability density geodesics in the latent space of diffusion models."""


_DEFAULTS = Settings()
_MODEL, _PATH, _DECODE, _OUTPUT = "Model", "Path", "Frames", "Output"


@app.command()
def interpolate(
    a: Annotated[Path, typer.Argument(help="The first image.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="The second image.", show_default=False)],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="Folder to write.", rich_help_panel=_OUTPUT),
    ],
    model: Annotated[
        str,
        typer.Option(
            help="'embedded', the folder of a StableDiffusionPipeline, or a hub id.",
            rich_help_panel=_MODEL,
        ),
    ] = "embedded",
    prompt_a: Annotated[
        str,
        typer.Option(
            "--prompt-a", "--prompt", help="What the first image shows.", rich_help_panel=_MODEL
        ),
    ] = "",
    prompt_b: Annotated[
        str | None,
        typer.Option(
            help="What the second one shows; by default the same.", rich_help_panel=_MODEL
        ),
    ] = None,
    negative: Annotated[
        str, typer.Option(help="What guidance pushes away from.", rich_help_panel=_MODEL)
    ] = "",
    device: Annotated[
        str | None,
        typer.Option(help="cuda, mps or cpu; the first there is.", rich_help_panel=_MODEL),
    ] = None,
    dtype: Annotated[
        Dtype, typer.Option(help="Precision of the networks.", rich_help_panel=_MODEL)
    ] = Dtype.FLOAT32,
    revision: Annotated[
        str | None, typer.Option(help="Revision of a hub id.", rich_help_panel=_MODEL)
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never use the network.", rich_help_panel=_MODEL)
    ] = False,
    level: Annotated[
        float,
        typer.Option(
            help="Noise level, the fraction of the steps inverted.", rich_help_panel=_PATH
        ),
    ] = _DEFAULTS.level,
    steps: Annotated[
        int, typer.Option(help="DDIM steps from noise to image.", rich_help_panel=_PATH)
    ] = _DEFAULTS.steps,
    refinements: Annotated[
        int,
        typer.Option(help="Most fixed-point iterations an inversion step.", rich_help_panel=_PATH),
    ] = _DEFAULTS.refinements,
    path: Annotated[
        Family, typer.Option(help="Which path joins the images.", rich_help_panel=_PATH)
    ] = _DEFAULTS.family,
    strength: Annotated[
        float,
        typer.Option(help="Strength α·d of the metric; 0 is slerp.", rich_help_panel=_PATH),
    ] = _DEFAULTS.strength,
    alpha: Annotated[
        float | None, typer.Option(help="α itself, instead.", rich_help_panel=_PATH)
    ] = None,
    score: Annotated[
        Estimate,
        typer.Option(
            help="Density of the level, or the ratio to the negative prompt.", rich_help_panel=_PATH
        ),
    ] = _DEFAULTS.estimate,
    flat: Annotated[
        bool, typer.Option("--flat", help="Flat space, not the sphere.", rich_help_panel=_PATH)
    ] = False,
    tol: Annotated[
        float, typer.Option(help="Residual at which to stop.", rich_help_panel=_PATH)
    ] = _DEFAULTS.tol,
    max_steps: Annotated[
        int, typer.Option(help="Most steps of the solver.", rich_help_panel=_PATH)
    ] = _DEFAULTS.max_steps,
    starts: Annotated[
        int, typer.Option(help="Initial paths tried in one batch.", rich_help_panel=_PATH)
    ] = _DEFAULTS.starts,
    seed: Annotated[
        int, typer.Option(help="Of the further starts.", rich_help_panel=_PATH)
    ] = _DEFAULTS.seed,
    allow_atypical: Annotated[
        bool,
        typer.Option(
            "--allow-atypical",
            help="Keep a path that leaves the typical set.",
            rich_help_panel=_PATH,
        ),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare/--no-compare",
            help="Also decode slerp, for the report.",
            rich_help_panel=_DECODE,
        ),
    ] = True,
    frames: Annotated[
        int, typer.Option(help="Number of frames, ends included.", rich_help_panel=_DECODE)
    ] = _DEFAULTS.frames,
    guidance: Annotated[
        float,
        typer.Option(
            help="Guidance in the middle of the film; needs a prompt.", rich_help_panel=_DECODE
        ),
    ] = _DEFAULTS.guidance,
    spacing: Annotated[
        Pace, typer.Option(help="What is equal between frames.", rich_help_panel=_DECODE)
    ] = _DEFAULTS.pace,
    size: Annotated[
        str | None,
        typer.Option(
            help="Edge, or HEIGHTxWIDTH, in pixels; the model's own size by default.",
            rich_help_panel=_DECODE,
        ),
    ] = None,
    fit: Annotated[
        FitMode,
        typer.Option(help="Crop or pad images of another shape.", rich_help_panel=_DECODE),
    ] = FitMode.CROP,
    keep_pixels: Annotated[
        bool,
        typer.Option(
            "--keep-pixels", help="Put the original pixels at both ends.", rich_help_panel=_DECODE
        ),
    ] = False,
    fps: Annotated[
        int, typer.Option(help="Frames a second of the video.", rich_help_panel=_OUTPUT)
    ] = 10,
    gif: Annotated[
        bool, typer.Option("--gif", help="Also write a GIF.", rich_help_panel=_OUTPUT)
    ] = False,
    webm: Annotated[
        bool, typer.Option("--webm", help="Also write a WebM.", rich_help_panel=_OUTPUT)
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace an earlier run in the folder.", rich_help_panel=_OUTPUT
        ),
    ] = False,
) -> None:
    """Morph image A into image B along a probability density geodesic."""
    import torch

    from diffusion_geodesics.framing import CentreCrop, Pad
    from diffusion_geodesics.images import load_image
    from diffusion_geodesics.report import Gif, Mp4, Video, WebM, check_folder
    from diffusion_geodesics.shell import (
        ProgressBars,
        quiet_libraries,
        summary_line,
        summary_table,
    )

    settings = Settings(
        prompt_a=prompt_a,
        prompt_b=prompt_b,
        negative=negative,
        frames=frames,
        level=level,
        steps=steps,
        refinements=refinements,
        family=path,
        strength=strength,
        alpha=alpha,
        estimate=score,
        flat=flat,
        guidance=guidance,
        pace=spacing,
        tol=tol,
        max_steps=max_steps,
        starts=starts,
        seed=seed,
        size=parse_size(size),
        fit=Pad() if fit is FitMode.PAD else CentreCrop(),
        keep_pixels=keep_pixels,
        compare=compare,
        allow_atypical=allow_atypical,
    )
    formats = [Mp4(), *([Gif()] if gif else []), *([WebM()] if webm else [])]
    video = Video(fps=fps, formats=tuple(formats))
    check_folder(output, overwrite=overwrite)
    for picture in (a, b):
        load_image(picture)  # complain about a bad image before a model is loaded
    with ProgressBars(console) as bars:
        from diffusion_geodesics.apps import Event
        from diffusion_geodesics.apps import interpolate as run
        from diffusion_geodesics.models import load_model

        bars(Event("load", 0, 1))
        quiet_libraries()
        loaded = load_model(
            model,
            device=device,
            dtype=getattr(torch, dtype.value),
            revision=revision,
            local_files_only=offline,
        )
        bars(Event("load", 1, 1))
        done = run(loaded, a, b, settings, on_event=bars)
        bars(Event("write", 0, 1))
        written = done.save(output, overwrite=overwrite, video=video)
        bars(Event("write", 1, 1))
    console.print(summary_table(done))
    console.print(summary_line(done), soft_wrap=True, markup=False)
    for warning in done.warnings:
        console.print("note:", style="yellow", end=" ")
        console.print(warning, soft_wrap=True, markup=False)
    for name in ("strip.png", "morph.mp4", "report.html", "result.json"):
        typer.echo(written.folder / name)


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


def main() -> None:
    """Run the command line: one clear line and a non-zero exit for anything that goes wrong."""
    warnings.filterwarnings("ignore")
    try:
        app()
    except KeyboardInterrupt:
        console.print("[red]stopped[/]; nothing was written")
        sys.exit(130)
    except (ValueError, OSError, MemoryError) as error:  # all that a user can cause
        line = " ".join(str(error).split()) or type(error).__name__
        console.print("error:", style="red", end=" ")
        console.print(line, markup=False, soft_wrap=True)
        sys.exit(1)
