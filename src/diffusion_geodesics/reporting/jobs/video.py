"""The report of an analysis of clips."""

from __future__ import annotations

import math
from collections.abc import Iterator

from torch import Tensor

from diffusion_geodesics.reporting.blocks import (
    Block,
    Cell,
    Fact,
    Facts,
    Film,
    FilmRow,
    Plot,
    Section,
    Table,
    Tone,
)
from diffusion_geodesics.reporting.intervals import Interval, IntervalPanel, IntervalPlot
from diffusion_geodesics.reporting.jobs.common import (
    clamped,
    cost_fact,
    cost_rows,
    messages,
    model_fact,
    model_header,
)
from diffusion_geodesics.reporting.plots import Level, LinePlot, Panel, Trace
from diffusion_geodesics.reporting.report import Banner, Report, Sheet
from diffusion_geodesics.runtime.settings_file import settings_toml
from diffusion_geodesics.runtime.versions import versions
from diffusion_geodesics.video.claims import by_clips, shown
from diffusion_geodesics.video.controls import Variant
from diffusion_geodesics.video.result import ShotAnalysis, VideoResult
from diffusion_geodesics.video.statistics import Statistics

TABLE = (
    ("deviation", "deviation"),
    ("length", "length"),
    ("residual", "residual"),
    ("angle", "angle, °"),
    ("middle", "middle, nats"),
    ("speed", "step"),
    ("variation", "step, variation"),
    ("jitter", "jitter"),
)
"""Statistics of the table over clips, and their headings."""


def video_report(result: VideoResult) -> Report:
    """Everything that is written about an analysis."""
    clips = list(dict.fromkeys(s.clip for s in result.shots))
    frames, number = sum(len(s.frames) for s in result.shots), len(result.shots)
    foreign = result.foreign
    header = {"clips": list(result.sources), "model": model_header(result.model)}
    banner = Banner(
        "The model does not know such frames",
        [f"{name}: " + "; ".join(reasons) for name, reasons in foreign.items()],
    )
    other = [w for w in result.warnings if w.code != "foreign"]
    return Report(
        title=f"{clips[0]} against geodesics" if len(clips) == 1 else "Clips against geodesics",
        lead=f"{frames} frames of {len(clips)} clip{'s' * (len(clips) > 1)} in {number} "
        f"part{'s' * (number > 1)}, in windows of {result.settings.windows.window} frames.",
        banner=banner if foreign else None,
        warnings=messages(other),
        sections=(
            Section("", [Facts(list(_facts(result)))]),
            *_claims(result),
            *_controls(result),
            Section("Clip by clip", [_table(result)]),
            *(_shot(shot) for shot in result.shots),
        ),
        result=video_result(result),
        settings=settings_toml("analyze", result.settings, header),
        sheets={"windows.csv": _window_sheet(result), "frames.csv": _frame_sheet(result)},
        cost=cost_rows(result.costs),
        versions=versions(),
    )


def video_result(result: VideoResult) -> dict[str, object]:
    """The contents of result.json."""
    limits = ("least_psnr", "greatest_denoising", "least_energy", "greatest_energy")
    return {
        "job": "analyze",
        "summary": {
            variant.value: {
                name: {"mean": i.mean, "low": i.low, "high": i.high, "count": i.count}
                for name, i in found.items()
            }
            for variant, found in result.summary.items()
        },
        "units": units(result),
        "claims": [{"claim": c.claim, "found": c.found, "holds": c.holds} for c in result.claims],
        "out_of_domain": {name: list(reasons) for name, reasons in result.foreign.items()},
        "domain": [
            {
                "limits": dict(zip(limits, domain.limits, strict=True)),
                "own_psnr": domain.own.psnr,
                "own_denoising": domain.own.denoising,
                "own_energy": domain.own.energy,
            }
            for domain in dict.fromkeys(shot.domain for shot in result.shots)
        ],
        "parts": [_shot_result(shot) for shot in result.shots],
        "cost": result.costs.as_dict(),
        "settings": result.settings.as_nested(),
        "model": result.model.as_dict(),
        "warnings": [warning.as_dict() for warning in result.warnings],
        "versions": versions(),
    }


def _shot_result(shot: ShotAnalysis) -> dict[str, object]:
    found = shot.measured
    return {
        "clip": shot.clip,
        "part": shot.number,
        "ended": shot.ended,
        "frames": shot.frames,
        "times": shot.times,
        "windows": [
            {"first": int(shot.frames[a]), "last": int(shot.frames[b])}
            for a, b in found.starts.T.tolist()
        ],
        "statistics": {
            variant.value: {name: getattr(s, name) for name in Statistics.names()}
            for variant, s in found.statistics.items()
        },
        "log_density": found.log_density,
        "noise_energy": found.noise_energy,
        "whole": {
            path.name: {
                "length": path.length,
                "t": path.t,
                "log_density": path.log_density,
                "noise_energy": path.noise_energy,
            }
            for path in found.paths
        },
        "log_density_disagreement": shot.density_disagreement,
        "geodesics": {
            "solved": found.solved[0],
            "of": found.solved[1],
            "greatest_residual": found.residual,
        },
        "known": {
            "psnr": shot.known.psnr,
            "denoising": shot.known.denoising,
            "energy": float(shot.known.energy.median()),
        },
        "radius": shot.radius,
        "norm_variation": float(shot.norms.std() / shot.norms.mean()),
        "sigma": shot.sigma,
        "alpha": shot.alpha,
        "dim": shot.dim,
    }


def units(result: VideoResult) -> str:
    """What intervals are over, in words."""
    shots = result.counted
    known = " that the model knows" if 0 < len(result.foreign) < len(result.shots) else ""
    if by_clips(shots):
        return f"{len({s.clip for s in shots})} clips{known}"
    count = sum(s.measured.starts.shape[1] for s in shots)
    return f"{count} window{'s' * (count > 1)} of the clip{'s' * (len(shots) > 1)}{known}"


def _facts(result: VideoResult) -> Iterator[Fact]:
    shot, own = result.shots[0], result.summary[Variant.CLIP]
    over = f"over {units(result)}"
    yield Fact("Deviation from geodesics", shown(own["deviation"]), f"of the chord; {over}")
    yield Fact("Length over the geodesic's", shown(own["length"]), over)
    yield Fact("Euler-Lagrange residual", shown(own["residual"]), "0 for a geodesic, 1 for a line")
    yield Fact("Angle of the bends", f"{shown(own['angle'])}°", "0 for a geodesic, 90 by chance")
    yield model_fact(result.model)
    yield Fact(
        "Strength",
        f"α·d = {shot.alpha * shot.dim:.3g}",
        f"α = {shot.alpha:.3g}, d = {shot.dim}, noise level "
        f"{result.settings.inversion.level:g} (σ = {shot.sigma:.2f})",
    )
    yield cost_fact(result.costs)


def _claims(result: VideoResult) -> Iterator[Section]:
    if not result.claims:
        return
    tones = {True: Tone.GOOD, False: Tone.BAD, None: Tone.FAINT}
    rows: list[list[str | Cell]] = [
        [c.claim, c.found, Cell(c.verdict, tone=tones[c.holds])] for c in result.claims
    ]
    table = Table(("claim", "found", "verdict"), rows, numeric=False)
    yield Section("The paper's claims", [table])


def _controls(result: VideoResult) -> Iterator[Section]:
    if not result.settings.windows.controls:
        return
    panels = []
    for name, title, log in (
        ("deviation", "deviation / chord", False),
        ("length", "length / geodesic's", True),
        ("residual", "residual", True),
    ):
        found = [
            Interval(v.value, i[name].mean, i[name].low, i[name].high, strong=v is Variant.CLIP)
            for v, i in result.summary.items()
        ]
        panels.append(IntervalPanel(title, found, log))
    caption = f"Means with 95% intervals over {units(result)}."
    yield Section("Clip and controls", [Plot(IntervalPlot(panels), caption=caption)])


def _table(result: VideoResult) -> Table:
    rows: list[list[str | Cell]] = []
    for shot in result.shots:
        found = shot.measured.statistics[Variant.CLIP]
        values = (float(getattr(found, name).nanmean()) for name, _ in TABLE)
        rows.append([shot.name, str(len(shot.frames)), *map(_number, values)])
    return Table(("clip", "frames", *(head for _, head in TABLE)), rows)


def _shot(shot: ShotAnalysis) -> Section:
    first, last = float(shot.times[0]), float(shot.times[-1])
    ended = f", ended by {shot.ended}" if shot.ended else ""
    good, of = shot.measured.solved
    blocks: list[Block] = [Facts(_shot_facts(shot))]
    if shot.strips:
        number = f"{shot.clip}-{shot.number}".encode().hex()[:24]
        rows = [FilmRow(row.name, clamped(row.images)) for row in shot.strips]
        blocks.append(Film(rows, file=f"strips/{number}.png"))
    blocks += [Plot(LinePlot(_over_time(shot))), Plot(LinePlot(_motion(shot)))]
    return Section(
        shot.name,
        blocks,
        note=f"Frames {int(shot.frames[0])} to {int(shot.frames[-1])} of the file, {first:.2f} to "
        f"{last:.2f} s{ended}; {shot.measured.starts.shape[1]} windows, {good} of {of} geodesics "
        "found.",
        warning="; ".join(shot.foreign),
    )


def _shot_facts(shot: ShotAnalysis) -> list[Fact]:
    statistics = shot.measured.statistics

    def mean(name: str, variant: Variant = Variant.CLIP) -> str:
        return _number(float(getattr(statistics[variant], name).nanmean()))

    others = [v for v in (Variant.SLERP, Variant.LERP) if v in statistics]
    facts = [
        Fact("Deviation", mean("deviation"), "of the chord, window by window"),
        Fact(
            "Length over the geodesic's",
            mean("length"),
            ", ".join(f"{v.value} {mean('length', v)}" for v in others),
        ),
        Fact("Jitter", mean("jitter"), "share of the acceleration"),
    ]
    if shot.density_disagreement is not None:
        facts.append(
            Fact(
                "Log density, error",
                f"{shot.density_disagreement:.0f} nats",
                "by how much the ways to the last frame disagree",
            )
        )
    return facts


def _over_time(shot: ShotAnalysis) -> list[Panel]:
    times, found = shot.times, shot.measured
    first, span = float(times[0]), float(times[-1] - times[0])
    density = [Trace("clip", times, found.log_density)]
    energy = [Trace("clip", times, found.noise_energy)]
    for path in found.paths:
        at = first + span * path.t
        density.append(Trace(path.name, at, path.log_density))
        energy.append(Trace(path.name, at, path.noise_energy))
    return [
        Panel("log density less the first frame's, nats", "seconds", density),
        Panel("noise energy σ‖s‖/√d", "seconds", energy),
    ]


def _motion(shot: ShotAnalysis) -> list[Panel]:
    times, found = shot.times, shot.measured
    inner = times[shot.half : len(times) - shot.half]
    middles = 0.5 * (times[1:] + times[:-1])
    return [
        Panel(
            "Euler-Lagrange residual",
            "seconds",
            [Trace("clip", inner, found.bends.residual)],
            log_y=True,
            levels=[Level(1.0, "a straight line")],
        ),
        Panel(
            "step between frames", "seconds", [Trace("clip", middles, shot.steps)], from_zero=True
        ),
    ]


def _window_sheet(result: VideoResult) -> Sheet:
    rows: list[list[object]] = []
    for shot in result.shots:
        for variant, found in shot.measured.statistics.items():
            columns = [getattr(found, name).tolist() for name in Statistics.names()]
            for window, values in enumerate(zip(*columns, strict=True)):
                rows.append([shot.clip, shot.number, variant.value, window, *values])
    return Sheet(("clip", "part", "variant", "window", *Statistics.names()), rows)


def _frame_sheet(result: VideoResult) -> Sheet:
    head = ("clip", "part", "frame", "time", "log_density", "noise_energy", "norm", "step",
            "residual", "angle")  # fmt: skip
    rows: list[list[object]] = []
    for shot in result.shots:
        found, edge = shot.measured, [None] * shot.half

        def inner(values: Tensor, edge: list[None] = edge) -> list[object]:
            return [*edge, *values.tolist(), *edge]

        columns = zip(
            shot.frames.tolist(),
            shot.times.tolist(),
            found.log_density.tolist(),
            found.noise_energy.tolist(),
            shot.norms.tolist(),
            [None, *shot.steps.tolist()],
            inner(found.bends.residual),
            inner(found.bends.angle),
            strict=True,
        )
        rows += [[shot.clip, shot.number, *values] for values in columns]
    return Sheet(head, rows)


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"
