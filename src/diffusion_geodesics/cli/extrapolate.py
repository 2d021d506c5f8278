"""`geodesic extrapolate START ... -o OUT`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diffusion_geodesics.apps.extrapolate.settings import (
    Ascent,
    ExtrapolationSettings,
    Remedies,
)
from diffusion_geodesics.cli.options import (
    FRAMES,
    MODEL,
    OUTPUT,
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
    from diffusion_geodesics.apps.extrapolate import Direction

DIRECTION, REMEDIES = "Direction (exactly one)", "Remedies"
_DEFAULTS = ExtrapolationSettings()


def extrapolate(
    start: Annotated[
        Path,
        typer.Argument(help="An image; with --last a clip or folder.", show_default=False),
    ],
    output: OutputOption,
    towards: Annotated[
        Path | None,
        typer.Option(help="Towards a second image; t = 1 is there.", rich_help_panel=DIRECTION),
    ] = None,
    past: Annotated[
        Path | None,
        typer.Option(help="From START past a second image.", rich_help_panel=DIRECTION),
    ] = None,
    to_prompt: Annotated[
        str | None,
        typer.Option(help="Towards what a prompt says.", rich_help_panel=DIRECTION),
    ] = None,
    random: Annotated[
        int | None,
        typer.Option(help="In a random direction with this seed.", rich_help_panel=DIRECTION),
    ] = None,
    vector: Annotated[
        Path | None,
        typer.Option(help="Along a .npy or .safetensors vector.", rich_help_panel=DIRECTION),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            help="As the last so many frames of the clip START move; odd, 5 is a good number.",
            rich_help_panel=DIRECTION,
        ),
    ] = None,
    chord: Annotated[
        bool,
        typer.Option(
            "--chord",
            help="With --towards: the chord's velocity, not the geodesic's.",
            rich_help_panel=PATH,
        ),
    ] = False,
    bend: Annotated[
        bool,
        typer.Option(
            "--bend", help="With --last: fit a parabola, not a line.", rich_help_panel=PATH
        ),
    ] = False,
    away: Annotated[
        str,
        typer.Option(help="With --to-prompt: what the image shows now.", rich_help_panel=PATH),
    ] = "",
    reach: Annotated[
        float | None,
        typer.Option(
            help="How far: ways to the image, radians, vectors, or frames of the clip.",
            rich_help_panel=PATH,
        ),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            help="Strength α·d of the metric; 0 goes straight. 1, but 0 with --last.",
            rich_help_panel=PATH,
        ),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="α itself, instead.", rich_help_panel=PATH)
    ] = None,
    level: Annotated[
        float,
        typer.Option(help="Noise level, the fraction of the steps inverted.", rich_help_panel=PATH),
    ] = _DEFAULTS.level,
    steps: Annotated[
        int, typer.Option(help="Sampling steps from noise to image.", rich_help_panel=PATH)
    ] = _DEFAULTS.steps,
    flat: Annotated[
        bool, typer.Option("--flat", help="Flat space, not the shell.", rich_help_panel=PATH)
    ] = False,
    ray_steps: Annotated[
        int, typer.Option(help="Steps of the integrator.", rich_help_panel=PATH)
    ] = _DEFAULTS.ray_steps,
    stop: Annotated[
        bool,
        typer.Option(
            "--stop/--go-on",
            help="Where the ray leaves the typical set: end the film, or go on and warn.",
            rich_help_panel=REMEDIES,
        ),
    ] = True,
    halve: Annotated[
        int,
        typer.Option(
            help="There, begin anew with half the strength; at most so often.",
            rich_help_panel=REMEDIES,
        ),
    ] = 0,
    keep_norm: Annotated[
        bool,
        typer.Option(
            "--keep-norm",
            help="With --flat: restore the start's norm after each frame.",
            rich_help_panel=REMEDIES,
        ),
    ] = False,
    reestimate: Annotated[
        int,
        typer.Option(
            help="Estimate the direction anew every so many frames; 0 for never.",
            rich_help_panel=REMEDIES,
        ),
    ] = 0,
    ascend: Annotated[
        int,
        typer.Option(
            help="Steps towards higher density after each frame; 0 for none.",
            rich_help_panel=REMEDIES,
        ),
    ] = 0,
    ascend_by: Annotated[
        float,
        typer.Option(help="Size of such a step, in σ²s.", rich_help_panel=REMEDIES),
    ] = Ascent().size,
    frames: Annotated[
        int, typer.Option(help="Number of frames, the start included.", rich_help_panel=FRAMES)
    ] = _DEFAULTS.frames,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare/--no-compare",
            help="Also decode the straight continuation.",
            rich_help_panel=FRAMES,
        ),
    ] = True,
    size: SizeOption = None,
    fit: FitOption = FitMode.CROP,
    fps: Annotated[
        int, typer.Option(help="Frames a second of the video.", rich_help_panel=OUTPUT)
    ] = 10,
    prompt: Annotated[str, typer.Option(help="What the images show.", rich_help_panel=MODEL)] = "",
    model: ModelOption = "embedded",
    device: DeviceOption = None,
    dtype: DtypeOption = Dtype.FLOAT32,
    revision: RevisionOption = None,
    offline: OfflineOption = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Go on from an image, or from the end of a clip, along a geodesic."""
    from diffusion_geodesics.apps.extrapolate import ClipVelocity
    from diffusion_geodesics.clips import open_clip
    from diffusion_geodesics.images import load_image
    from diffusion_geodesics.report import Video, check_folder
    from diffusion_geodesics.shell import ProgressBars

    direction = parse_direction(towards, past, to_prompt, random, vector, last, chord, bend, away)
    settings = ExtrapolationSettings(
        frames=frames,
        reach=reach,
        prompt=prompt,
        level=level,
        steps=steps,
        strength=strength,
        alpha=alpha,
        flat=flat,
        ray_steps=ray_steps,
        stop=stop,
        remedies=Remedies(
            halve, keep_norm, reestimate, Ascent(ascend, ascend_by) if ascend else None
        ),
        compare=compare,
        size=parse_size(size),
        fit=fit.fit,
    )
    check_folder(output, overwrite=overwrite)
    # Complain about what cannot be read before a model is loaded.
    if isinstance(direction, ClipVelocity):
        open_clip(start)
    else:
        for picture in (start, towards, past):
            if picture is not None:
                load_image(picture)
    with ProgressBars(console) as bars:
        from diffusion_geodesics.apps import Event
        from diffusion_geodesics.apps.extrapolate import extrapolate as run

        loaded = open_model(bars, model, device, dtype, revision, offline)
        done = run(loaded, start, direction, settings, on_event=bars)
        bars(Event("write", 0, 1))
        video = Video(fps=fps, there_and_back=False)
        written = done.save(output, overwrite=overwrite, video=video)
        bars(Event("write", 1, 1))
    march, total = done.march, done.ledger.total
    console.print(
        f"{march.result.name.replace('_', ' ')} at {float(march.t[-1]):.3g} ({done.launch.unit}); "
        f"log density {float(march.log_density[-1]):+.1f} nats, noise energy "
        f"{float(march.energy[-1]):.2f} (start {float(march.energy[0]):.2f}), growth "
        f"{float(done.growth[-1]):.3g}; {total.rows} network rows in {total.seconds:.1f} s",
        soft_wrap=True,
        markup=False,
    )
    for warning in done.warnings:
        console.print("note:", style="yellow", end=" ")
        console.print(warning, soft_wrap=True, markup=False)
    for name in ("strip.png", "morph.mp4", "report.html", "result.json"):
        typer.echo(written.folder / name)


def parse_direction(
    towards: Path | None,
    past: Path | None,
    to_prompt: str | None,
    random: int | None,
    vector: Path | None,
    last: int | None,
    chord: bool,
    bend: bool,
    away: str,
) -> Direction:
    """The one direction that was given.

    Raises:
        ValueError: none, several, or an option that goes with another one.
    """
    from diffusion_geodesics.apps.extrapolate import (
        ClipVelocity,
        GivenVector,
        Past,
        RandomTangent,
        Towards,
        TowardsPrompt,
    )

    options = {
        "--towards": towards,
        "--past": past,
        "--to-prompt": to_prompt,
        "--random": random,
        "--vector": vector,
        "--last": last,
    }
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        got = " and ".join(given) if given else "no direction"
        raise ValueError(f"got {got}; give exactly one of {', '.join(options)}")
    for name, value, owner in (
        ("--chord", chord, "--towards"),
        ("--bend", bend, "--last"),
        ("--away", away, "--to-prompt"),
    ):
        if value and given != [owner]:
            raise ValueError(f"{name} goes with {owner}, and the direction is {given[0]}")
    if towards is not None:
        return Towards(towards, straight=chord)
    if past is not None:
        return Past(past)
    if to_prompt is not None:
        return TowardsPrompt(to_prompt, away)
    if random is not None:
        return RandomTangent(random)
    if vector is not None:
        return GivenVector.read(vector)
    return ClipVelocity(last if last is not None else ClipVelocity().frames, bend)
