"""The settings of an interpolation as options, for every command that takes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from diffusion_geodesics.apps.settings import (
    Blend,
    Estimate,
    Family,
    Method,
    Pace,
    PathSolver,
    Settings,
)
from diffusion_geodesics.cli.options import (
    FRAMES,
    MODEL,
    PATH,
    FitMode,
    FitOption,
    SizeOption,
    parse_size,
)
from diffusion_geodesics.diffusion import TextInversion

_DEFAULTS = Settings()


def read_settings(
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
    negative: Annotated[
        str, typer.Option(help="What guidance pushes away from.", rich_help_panel=MODEL)
    ] = "",
    level: Annotated[
        float,
        typer.Option(help="Noise level, the fraction of the steps inverted.", rich_help_panel=PATH),
    ] = _DEFAULTS.level,
    steps: Annotated[
        int, typer.Option(help="Sampling steps from noise to image.", rich_help_panel=PATH)
    ] = _DEFAULTS.steps,
    refinements: Annotated[
        int,
        typer.Option(help="Most fixed-point iterations an inversion step.", rich_help_panel=PATH),
    ] = _DEFAULTS.refinements,
    path: Annotated[
        Family, typer.Option(help="Which path joins the images.", rich_help_panel=PATH)
    ] = _DEFAULTS.family,
    carried: Annotated[
        bool,
        typer.Option(
            "--carried/--not-carried",
            help="Bend the geodesic about correspondences between the images, or about slerp.",
            rich_help_panel=PATH,
        ),
    ] = _DEFAULTS.carried,
    strength: Annotated[
        float,
        typer.Option(help="Strength α·d of the metric; 0 bends nothing.", rich_help_panel=PATH),
    ] = _DEFAULTS.strength,
    alpha: Annotated[
        float | None, typer.Option(help="α itself, instead.", rich_help_panel=PATH)
    ] = None,
    score: Annotated[
        Estimate,
        typer.Option(
            help="Whose density: of the level, a ratio to the negative prompt, or distilled.",
            rich_help_panel=PATH,
        ),
    ] = _DEFAULTS.estimate,
    window: Annotated[
        float,
        typer.Option(
            help="Half-width of a distilled score's window, a fraction of the steps.",
            rich_help_panel=PATH,
        ),
    ] = _DEFAULTS.window,
    window_nodes: Annotated[
        int, typer.Option(help="Time steps in it.", rich_help_panel=PATH)
    ] = _DEFAULTS.window_nodes,
    blend: Annotated[
        Blend, typer.Option(help="How the prompt changes along the path.", rich_help_panel=MODEL)
    ] = _DEFAULTS.blend,
    solver: Annotated[
        PathSolver, typer.Option(help="What solves for the geodesic.", rich_help_panel=PATH)
    ] = _DEFAULTS.solver,
    sampler: Annotated[
        Method, typer.Option(help="Rule of inversion and decoding.", rich_help_panel=PATH)
    ] = _DEFAULTS.sampler,
    invert_text: Annotated[
        int,
        typer.Option(
            help="Most steps of optimising an embedding for each image; 0 for none.",
            rich_help_panel=MODEL,
        ),
    ] = 0,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder that keeps such embeddings.", rich_help_panel=MODEL),
    ] = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Settings of the paper's authors for everything about the path.",
            rich_help_panel=PATH,
        ),
    ] = False,
    flat: Annotated[
        bool, typer.Option("--flat", help="Flat space, not the sphere.", rich_help_panel=PATH)
    ] = False,
    tol: Annotated[
        float, typer.Option(help="Residual at which to stop.", rich_help_panel=PATH)
    ] = _DEFAULTS.tol,
    max_steps: Annotated[
        int, typer.Option(help="Most steps of the solver.", rich_help_panel=PATH)
    ] = _DEFAULTS.max_steps,
    starts: Annotated[
        int, typer.Option(help="Initial paths tried in one batch.", rich_help_panel=PATH)
    ] = _DEFAULTS.starts,
    seed: Annotated[
        int, typer.Option(help="Of the further starts.", rich_help_panel=PATH)
    ] = _DEFAULTS.seed,
    allow_atypical: Annotated[
        bool,
        typer.Option(
            "--allow-atypical",
            help="Keep a path that leaves the typical set.",
            rich_help_panel=PATH,
        ),
    ] = False,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare/--no-compare",
            help="Also decode slerp, for the report.",
            rich_help_panel=FRAMES,
        ),
    ] = True,
    frames: Annotated[
        int, typer.Option(help="Number of frames, ends included.", rich_help_panel=FRAMES)
    ] = _DEFAULTS.frames,
    guidance: Annotated[
        float,
        typer.Option(
            help="Guidance in the middle of the film; needs a prompt.", rich_help_panel=FRAMES
        ),
    ] = _DEFAULTS.guidance,
    spacing: Annotated[
        Pace, typer.Option(help="What is equal between frames.", rich_help_panel=FRAMES)
    ] = _DEFAULTS.pace,
    size: SizeOption = None,
    fit: FitOption = FitMode.CROP,
    keep_pixels: Annotated[
        bool,
        typer.Option(
            "--keep-pixels", help="Put the original pixels at both ends.", rich_help_panel=FRAMES
        ),
    ] = False,
) -> Settings:
    """Settings from options.

    Raises:
        ValueError: a value out of its range.
    """
    if published:
        return Settings.published(
            prompt_a=prompt_a,
            prompt_b=prompt_b,
            **({"negative": negative} if negative else {}),
            text_inversion=TextInversion.published() if invert_text else None,
            cache=None if cache is None else str(cache),
            frames=frames,
            guidance=guidance,
            seed=seed,
            size=parse_size(size),
            fit=fit.fit,
            keep_pixels=keep_pixels,
            compare=compare,
        )
    return Settings(
        prompt_a=prompt_a,
        prompt_b=prompt_b,
        negative=negative,
        frames=frames,
        level=level,
        steps=steps,
        refinements=refinements,
        family=path,
        carried=carried,
        strength=strength,
        alpha=alpha,
        estimate=score,
        window=window,
        window_nodes=window_nodes,
        blend=blend,
        solver=solver,
        sampler=sampler,
        text_inversion=TextInversion(steps=invert_text) if invert_text else None,
        cache=None if cache is None else str(cache),
        flat=flat,
        guidance=guidance,
        pace=spacing,
        tol=tol,
        max_steps=max_steps,
        starts=starts,
        seed=seed,
        size=parse_size(size),
        fit=fit.fit,
        keep_pixels=keep_pixels,
        compare=compare,
        allow_atypical=allow_atypical,
    )


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameter `settings` is replaced by all options of `read_settings`."""
    options = inspect.signature(read_settings).parameters

    @wraps(command)
    def run(**given: Any) -> None:
        read = read_settings(**{name: given.pop(name) for name in options})
        command(settings=read, **given)

    own = [p for p in inspect.signature(command).parameters.values() if p.name != "settings"]
    parameters = [*own, *options.values()]
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]
    hints = {
        **get_type_hints(read_settings, include_extras=True),
        **get_type_hints(command, include_extras=True),
    }
    annotated = [p.replace(annotation=hints[p.name]) for p in keyword]
    run.__signature__ = inspect.Signature(annotated)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in annotated}
    return run
