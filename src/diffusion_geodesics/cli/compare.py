"""`geodesic compare A B -o OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffusion_geodesics.cli.methods import GRAMMAR, PLAIN, PROMPTED, read_method, read_named
from diffusion_geodesics.cli.options import (
    FRAMES,
    MODEL,
    PATH,
    DeviceOption,
    Dtype,
    DtypeOption,
    FitMode,
    FitOption,
    ModelOption,
    OfflineOption,
    OutputOption,
    OverwriteOption,
    RevisionOption,
    SizeOption,
    console,
    open_model,
    parse_size,
)

if TYPE_CHECKING:
    from diffusion_geodesics.apps.evidence import Comparison, Method, Pair

MEASURES = "Measures"

WeightsOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder with the weights of LPIPS, TOPIQ and Inception, laid out like torch's cache.",
        rich_help_panel=MEASURES,
    ),
]
ClipOption = Annotated[
    Path | None,
    typer.Option("--clip", help="Folder of a CLIP model.", rich_help_panel=MEASURES),
]
SeedOption = Annotated[int, typer.Option(help="Of all random choices.", rich_help_panel=MEASURES)]
CountOption = Annotated[
    int, typer.Option(help="Frames a strip, ends included.", rich_help_panel=FRAMES)
]


def compare(
    output: OutputOption,
    a: Annotated[Path | None, typer.Argument(help="The first image.", show_default=False)] = None,
    b: Annotated[Path | None, typer.Argument(help="The second image.", show_default=False)] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(
            help="Many pairs: a CSV or JSON file with a, b and perhaps name, prompt_a, prompt_b; "
            "or a folder such as MorphBench.",
            rich_help_panel=FRAMES,
        ),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option("--method", "-m", help=GRAMMAR, rich_help_panel=PATH)
    ] = None,
    frames_of: Annotated[
        list[str] | None,
        typer.Option(
            "--frames-of",
            help="NAME=FOLDER: frames that another program made, ranked with the rest.",
            rich_help_panel=PATH,
        ),
    ] = None,
    model: ModelOption = "embedded",
    device: DeviceOption = None,
    dtype: DtypeOption = Dtype.FLOAT32,
    revision: RevisionOption = None,
    offline: OfflineOption = False,
    prompt_a: Annotated[
        str,
        typer.Option(
            "--prompt-a", "--prompt", help="What the first image shows.", rich_help_panel=MODEL
        ),
    ] = "",
    prompt_b: Annotated[
        str | None,
        typer.Option(help="What the second one shows; by default the same.", rich_help_panel=MODEL),
    ] = None,
    level: Annotated[
        float,
        typer.Option(help="Noise level, the fraction of the steps inverted.", rich_help_panel=PATH),
    ] = 0.4,
    steps: Annotated[
        int, typer.Option(help="Sampling steps from noise to image.", rich_help_panel=PATH)
    ] = 25,
    strength: Annotated[
        float,
        typer.Option(help="α·d of the metric that paths are measured in.", rich_help_panel=PATH),
    ] = 1.0,
    frames: CountOption = 9,
    size: SizeOption = None,
    fit: FitOption = FitMode.CROP,
    weights: WeightsOption = None,
    clip: ClipOption = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
) -> None:
    """Compare methods of interpolation on the same images, from one inversion."""
    from diffusion_geodesics.apps.settings import Settings
    from diffusion_geodesics.images import load_image
    from diffusion_geodesics.measures import external_measures
    from diffusion_geodesics.report import check_folder
    from diffusion_geodesics.shell import ProgressBars

    settings = Settings(
        prompt_a=prompt_a,
        prompt_b=prompt_b,
        level=level,
        steps=steps,
        strength=strength,
        frames=frames,
        size=parse_size(size),
        fit=fit.fit,
        seed=seed,
    )
    chosen = _pairs(a, b, pairs)
    prompted = settings.prompted or all(p.prompt_a or p.prompt_b for p in chosen)
    methods = _methods(method, frames_of, prompted)
    folder = check_folder(output, overwrite=overwrite)
    for pair in chosen:
        for picture in (pair.a, pair.b):
            if isinstance(picture, str | Path):
                load_image(picture)  # complain about a bad image before a model is loaded
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        with ProgressBars(console) as bars:
            from diffusion_geodesics.apps.evidence import compare as run

            loaded = open_model(bars, model, device, dtype, revision, offline)
            done = run(
                loaded,
                chosen,
                methods,
                settings,
                external=external_measures(weights, clip),
                resume=partial,
                seed=seed,
                on_event=bars,
            )
    except KeyboardInterrupt:
        if not any(partial.glob("*.safetensors")):
            raise
        console.print("[red]stopped[/]; run the same command again to continue from", end=" ")
        console.print(str(partial), markup=False, soft_wrap=True)
        raise typer.Exit(130) from None
    show(done, output, overwrite)
    _forget(partial)


def show(done: Comparison, output: Path, overwrite: bool) -> None:
    """Write the folder, and print the table and what to know about it."""
    from diffusion_geodesics.apps.evidence.telling import lines_of, save, warnings_of
    from diffusion_geodesics.cli.score_table import score_table

    written = save(done, output, overwrite=overwrite)
    console.print(score_table(done.methods, lines_of(done)))
    for skipped in done.skipped:
        console.print("skipped:", style="yellow", end=" ")
        console.print(f"{skipped.name} ({skipped.reason}). {skipped.remedy}.", markup=False)
    for warning in warnings_of(done):
        if not warning.startswith("Not measured"):
            console.print("note:", style="yellow", end=" ")
            console.print(warning, soft_wrap=True, markup=False)
    for name in ("report.html", "table.tex", "table.csv", "pairs.csv", "result.json"):
        typer.echo(written.folder / name)


def _pairs(a: Path | None, b: Path | None, source: Path | None) -> list[Pair]:
    from diffusion_geodesics.apps.evidence import Pair, read_pairs

    if source is not None:
        if a is not None or b is not None:
            raise ValueError("got two images and --pairs; give either")
        return read_pairs(source)
    if a is None or b is None:
        raise ValueError("give two images, or --pairs FILE")
    return [Pair(f"{a.stem}-{b.stem}", a, b)]


def _methods(asked: list[str] | None, foreign: list[str] | None, prompted: bool) -> list[Method]:
    from diffusion_geodesics.apps.evidence import Foreign
    from diffusion_geodesics.apps.evidence.folders import strips_in

    default = [*PLAIN, *(PROMPTED if prompted else ())]
    methods: list[Method] = [read_method(text) for text in asked or default]
    for text in foreign or ():
        label, folder = read_named(text)
        strips_in(folder)  # complain before a model is loaded
        methods.append(Foreign(label, folder))
    return methods


def _forget(partial: Path) -> None:
    """Remove the finished pairs that were kept."""
    for file in partial.glob("*.safetensors"):
        file.unlink()
    if partial.is_dir() and not any(partial.iterdir()):
        partial.rmdir()
