"""The command line: parse, call, show. One file a command."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from diffusion_geodesics import __version__
from diffusion_geodesics.cli.analyze import analyze
from diffusion_geodesics.cli.compare import compare
from diffusion_geodesics.cli.density import density
from diffusion_geodesics.cli.distance import distance
from diffusion_geodesics.cli.estimate import estimate
from diffusion_geodesics.cli.evaluate import evaluate
from diffusion_geodesics.cli.extrapolate import extrapolate
from diffusion_geodesics.cli.interpolate import interpolate
from diffusion_geodesics.cli.models import models
from diffusion_geodesics.cli.options import console

app = typer.Typer(
    name="geodesic",
    help="Probability density geodesics in the latent space of diffusion models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)


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


app.command()(interpolate)
app.command()(estimate)
app.command()(distance)
app.command()(density)
app.command()(analyze)
app.command()(extrapolate)
app.command()(compare)
app.command()(evaluate)
app.command()(models)


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
