"""An analysis in words, figures and files."""

from __future__ import annotations

import math

import torch

from diffusion_geodesics.apps.analyze.analysis import Analysis
from diffusion_geodesics.apps.analyze.figures import Figures
from diffusion_geodesics.apps.analyze.part import PartAnalysis
from diffusion_geodesics.apps.analyze.summary import Verdict, by_clips, interval, shown
from diffusion_geodesics.apps.analyze.variants import Variant
from diffusion_geodesics.apps.versions import versions
from diffusion_geodesics.report import Fact, Film, StageCost
from diffusion_geodesics.report.analysis_data import (
    AnalysisReport,
    Bar,
    Comparison,
    Panel,
    Section,
    Statement,
    Table,
    Trace,
)

JITTERY = 0.5
"""Share of jitter in the acceleration above which bends are mostly noise."""
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
"""Figures of the table over clips, and their headings."""


def warnings_of(done: Analysis) -> tuple[str, ...]:
    """What must be known before the figures are believed."""
    found = [
        f"{name} is out of the model's domain, its figures say nothing about it: "
        + "; ".join(reasons)
        for name, reasons in done.strange.items()
    ]
    for part in done.parts:
        good, of = part.solved
        if good < of:
            found.append(
                f"{part.name}: {of - good} of {of} geodesics were not found (residual up to "
                f"{part.residual:.1g}); a smaller strength makes them easier"
            )
        jitter = float(part.figures[Variant.CLIP].jitter.nanmean())
        if jitter > JITTERY:
            found.append(
                f"{part.name}: {100 * jitter:.0f}% of the acceleration is jitter from frame to "
                "frame, so residual and angle say little; fit over more frames (--half)"
            )
        if not part.paths:
            found.append(
                f"{part.name} ends where it began: there is no geodesic for the whole, only for "
                "its windows"
            )
    return (*found, *done.notes)


def report_of(done: Analysis) -> AnalysisReport:
    """Everything that is written about an analysis."""
    clips = list(dict.fromkeys(p.clip for p in done.parts))
    frames = sum(len(p.frames) for p in done.parts)
    strange = done.strange
    number = len(done.parts)
    return AnalysisReport(
        title=f"{clips[0]} against geodesics" if len(clips) == 1 else "Clips against geodesics",
        status=f"{frames} frames of {len(clips)} clip{'s' * (len(clips) > 1)} in {number} part"
        f"{'s' * (number > 1)}, in windows of {done.settings.window} frames",
        banner=tuple(f"{name}: " + "; ".join(reasons) for name, reasons in strange.items()),
        warnings=done.warnings[len(strange) :],
        facts=_facts(done),
        statements=tuple(
            Statement(
                c.claim,
                c.found,
                c.verdict.value,
                None if c.verdict is Verdict.OPEN else c.verdict is Verdict.HOLDS,
            )
            for c in done.claims
        ),
        comparisons=_comparisons(done) if done.settings.controls else (),
        units=_units(done),
        table=Table(
            ("clip", "frames", *(head for _, head in TABLE)),
            tuple(_row(part) for part in done.parts),
        ),
        sections=tuple(_section(part, strange.get(part.name, ())) for part in done.parts),
        result=result_of(done),
        sheets={"windows.csv": _window_sheet(done), "frames.csv": _frame_sheet(done)},
        cost=tuple(
            StageCost(name, cost.rows, cost.calls, cost.seconds)
            for name, cost in done.ledger.stages
        ),
        settings=done.settings.as_dict(),
        versions=versions(),
    )


def result_of(done: Analysis) -> dict[str, object]:
    """The contents of result.json."""
    return {
        "summary": {
            variant.value: {
                name: {"mean": i.mean, "low": i.low, "high": i.high, "count": i.count}
                for name, i in figures.items()
            }
            for variant, figures in done.summary.items()
        },
        "units": _units(done),
        "claims": [
            {"claim": c.claim, "found": c.found, "verdict": c.verdict.name.lower()}
            for c in done.claims
        ],
        "out_of_domain": {name: list(reasons) for name, reasons in done.strange.items()},
        "domain": [
            {
                "limits": dict(
                    zip(
                        ("least_psnr", "greatest_denoising", "least_energy", "greatest_energy"),
                        domain.limits,
                        strict=True,
                    )
                ),
                "own_psnr": domain.own.psnr,
                "own_denoising": domain.own.denoising,
                "own_energy": domain.own.energy,
            }
            for domain in dict.fromkeys(part.domain for part in done.parts)
        ],
        "parts": [_part_result(part) for part in done.parts],
        "warnings": list(done.warnings),
        "cost": done.ledger.as_dict("geodesics and controls"),
        "settings": done.settings.as_dict(),
        "model": {
            "id": done.model_id,
            "hash": done.model_hash,
            "device": done.device,
            "dtype": done.dtype,
        },
        "versions": versions(),
    }


def _part_result(part: PartAnalysis) -> dict[str, object]:
    return {
        "clip": part.clip,
        "part": part.number,
        "ended": part.ended,
        "frames": part.frames,
        "times": part.times,
        "windows": [
            {"first": int(part.frames[a]), "last": int(part.frames[b])}
            for a, b in part.starts.T.tolist()
        ],
        "figures": {
            variant.value: {name: getattr(found, name) for name in Figures.names()}
            for variant, found in part.figures.items()
        },
        "log_density": part.log_density,
        "noise_energy": part.energy,
        "whole": {
            path.name: {
                "length": path.length,
                "t": path.t,
                "log_density": path.log_density,
                "noise_energy": path.energy,
            }
            for path in part.paths
        },
        "log_density_disagreement": part.disagreement,
        "geodesics": {
            "solved": part.solved[0],
            "of": part.solved[1],
            "greatest_residual": part.residual,
        },
        "familiarity": {
            "psnr": part.familiarity.psnr,
            "denoising": part.familiarity.denoising,
            "energy": float(part.familiarity.energy.median()),
        },
        "radius": part.radius,
        "norm_variation": float(part.norms.std() / part.norms.mean()),
        "sigma": part.sigma,
        "alpha": part.alpha,
        "dim": part.dim,
    }


def _facts(done: Analysis) -> tuple[Fact, ...]:
    part = done.parts[0]
    over = f"over {_units(done)}"

    def told(name: str) -> str:
        return shown(interval(done.counted, Variant.CLIP, name, done.settings.seed))

    return (
        Fact("Deviation from geodesics", told("deviation"), f"of the chord; {over}"),
        Fact("Length over the geodesic's", told("length"), over),
        Fact("Euler-Lagrange residual", told("residual"), "0 for a geodesic, 1 for a line"),
        Fact("Angle of the bends", f"{told('angle')}°", "0 for a geodesic, 90 by chance"),
        Fact("Model", done.model_id, f"weights {done.model_hash[:12]}, on {done.device}"),
        Fact(
            "Strength",
            f"α·d = {part.alpha * part.dim:.3g}",
            f"α = {part.alpha:.3g}, d = {part.dim}, noise level {done.settings.level:g} "
            f"(σ = {part.sigma:.2f})",
        ),
    )


def _comparisons(done: Analysis) -> tuple[Comparison, ...]:
    summary = done.summary
    made: list[Comparison] = []
    for name, title, logarithmic in (
        ("deviation", "deviation / chord", False),
        ("length", "length / geodesic's", True),
        ("residual", "residual", True),
    ):
        found = {v: figures[name] for v, figures in summary.items()}
        bars = tuple(Bar(v.value, i.mean, i.low, i.high) for v, i in found.items())
        made.append(Comparison(title, bars, logarithmic))
    return tuple(made)


def _row(part: PartAnalysis) -> tuple[str, ...]:
    found = part.figures[Variant.CLIP]
    values = (float(getattr(found, name).nanmean()) for name, _ in TABLE)
    return part.name, str(len(part.frames)), *(_number(v) for v in values)


def _section(part: PartAnalysis, strange: tuple[str, ...]) -> Section:
    first, last = float(part.times[0]), float(part.times[-1])
    ended = f", ended by {part.ended}" if part.ended else ""
    good, of = part.solved
    films = tuple(
        Film(row.name, row.images, torch.linspace(0, 1, len(row.images))) for row in part.films
    )
    return Section(
        title=part.name,
        caption=f"Frames {int(part.frames[0])} to {int(part.frames[-1])} of the file, "
        f"{first:.2f} to {last:.2f} s{ended}; {part.starts.shape[1]} windows, {good} of {of} "
        "geodesics found.",
        warning="; ".join(strange),
        facts=_part_facts(part),
        plots=(_over_time(part), _motion(part)),
        films=films,
    )


def _part_facts(part: PartAnalysis) -> tuple[Fact, ...]:
    found = part.figures[Variant.CLIP]

    def mean(name: str) -> float:
        return float(getattr(found, name).nanmean())

    facts = [
        Fact("Deviation", _number(mean("deviation")), "of the chord, window by window"),
        Fact(
            "Length over the geodesic's",
            _number(mean("length")),
            ", ".join(
                f"{v.value} {_number(float(part.figures[v].length.nanmean()))}"
                for v in (Variant.SLERP, Variant.LERP)
                if v in part.figures
            ),
        ),
        Fact("Jitter", _number(mean("jitter")), "share of the acceleration"),
    ]
    if part.disagreement is not None:
        facts.append(
            Fact(
                "Log density, error",
                f"{part.disagreement:.0f} nats",
                "by how much the ways to the last frame disagree",
            )
        )
    return tuple(facts)


def _over_time(part: PartAnalysis) -> tuple[Panel, Panel]:
    times = part.times.tolist()
    first, span = times[0], times[-1] - times[0]
    density = [Trace("clip", times, part.log_density.tolist())]
    energy = [Trace("clip", times, part.energy.tolist())]
    for path in part.paths:
        at = (first + span * path.t).tolist()
        density.append(Trace(path.name, at, path.log_density.tolist()))
        energy.append(Trace(path.name, at, path.energy.tolist()))
    return (
        Panel("log density less the first frame's, nats", "seconds", tuple(density)),
        Panel("noise energy σ‖s‖/√d", "seconds", tuple(energy)),
    )


def _motion(part: PartAnalysis) -> tuple[Panel, Panel]:
    times = part.times
    inner = times[part.half : len(times) - part.half].tolist()
    return (
        Panel(
            "Euler-Lagrange residual",
            "seconds",
            (Trace("clip", inner, part.bends.residual.tolist()),),
            logarithmic=True,
            level=(1.0, "a straight line"),
        ),
        Panel(
            "step between frames",
            "seconds",
            (Trace("clip", (0.5 * (times[1:] + times[:-1])).tolist(), part.steps.tolist()),),
            from_zero=True,
        ),
    )


def _window_sheet(done: Analysis) -> tuple[tuple[str, ...], list[list[object]]]:
    head = ("clip", "part", "variant", "window", *Figures.names())
    rows: list[list[object]] = []
    for part in done.parts:
        for variant, found in part.figures.items():
            columns = [getattr(found, name).tolist() for name in Figures.names()]
            for window, values in enumerate(zip(*columns, strict=True)):
                cells = ["" if not math.isfinite(v) else v for v in values]
                rows.append([part.clip, part.number, variant.value, window, *cells])
    return head, rows


def _frame_sheet(done: Analysis) -> tuple[tuple[str, ...], list[list[object]]]:
    head = ("clip", "part", "frame", "time", "log_density", "noise_energy", "norm", "step",
            "residual", "angle")  # fmt: skip
    rows: list[list[object]] = []
    for part in done.parts:
        edge = [""] * part.half
        columns = zip(
            part.frames.tolist(),
            part.times.tolist(),
            part.log_density.tolist(),
            part.energy.tolist(),
            part.norms.tolist(),
            ["", *part.steps.tolist()],
            [*edge, *part.bends.residual.tolist(), *edge],
            [*edge, *part.bends.angle.tolist(), *edge],
            strict=True,
        )
        for values in columns:
            cells = ["" if isinstance(v, float) and not math.isfinite(v) else v for v in values]
            rows.append([part.clip, part.number, *cells])
    return head, rows


def _units(done: Analysis) -> str:
    parts = done.counted
    known = " that the model knows" if 0 < len(done.strange) < len(done.parts) else ""
    if by_clips(parts):
        return f"{len({p.clip for p in parts})} clips{known}"
    count = sum(p.starts.shape[1] for p in parts)
    return f"{count} window{'s' * (count > 1)} of the clip{'s' * (len(parts) > 1)}{known}"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "–"
