"""The report of an analysis of clips."""

import math
from collections.abc import Iterator
from typing import Any

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
from diffusion_geodesics.reporting.jobs import common
from diffusion_geodesics.reporting.plots import (
    Interval,
    IntervalPanel,
    IntervalPlot,
    Level,
    LinePlot,
    Panel,
    Trace,
)
from diffusion_geodesics.reporting.report import Banner, Report, Sheet
from diffusion_geodesics.video.claims import by_clips, shown
from diffusion_geodesics.video.controls import Variant
from diffusion_geodesics.video.result import ShotAnalysis, VideoResult
from diffusion_geodesics.video.statistics import Statistics

TABLE = {
    "deviation": "deviation",
    "length": "length",
    "residual": "residual",
    "angle": "angle, °",
    "middle": "middle, nats",
    "speed": "step",
    "variation": "step, variation",
    "jitter": "jitter",
}
"""Statistics of the table over clips, and their headings."""
COMPARED = (
    ("deviation", "deviation / chord", False),
    ("length", "length / geodesic's", True),
    ("residual", "residual", True),
)
"""Statistics in which the clip is compared with its controls: title, and whether logarithmic."""


def video_report(result: VideoResult) -> Report:
    """Everything that is written about an analysis."""
    clips = list(dict.fromkeys(s.clip for s in result.shots))
    frames, number = sum(len(s.frames) for s in result.shots), len(result.shots)
    reasons = [f"{name}: " + "; ".join(why) for name, why in result.foreign.items()]
    banner = Banner("The model does not know such frames", reasons) if reasons else None
    return common.job_report(
        "analyze",
        result,
        _record(result),
        {"clips": list(result.sources)},
        title=f"{clips[0]} against geodesics" if len(clips) == 1 else "Clips against geodesics",
        lead=f"{frames} frames of {len(clips)} clip{'s' * (len(clips) > 1)} in {number} "
        f"part{'s' * (number > 1)}, in windows of {result.settings.windows.window} frames.",
        banner=banner,
        warnings=[str(w) for w in result.warnings if w.code != "foreign"],
        sections=(
            Section("", [Facts(list(_facts(result)))]),
            *_claims(result),
            *_controls(result),
            Section("Clip by clip", [_table(result)]),
            *(_shot(shot) for shot in result.shots),
        ),
        sheets={"windows.csv": _window_sheet(result), "frames.csv": _frame_sheet(result)},
    )


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
    over, level = f"over {units(result)}", result.settings.inversion.level
    yield Fact("Deviation from geodesics", shown(own["deviation"]), f"of the chord; {over}")
    yield Fact("Length over the geodesic's", shown(own["length"]), over)
    yield Fact("Euler-Lagrange residual", shown(own["residual"]), "0 for a geodesic, 1 for a line")
    yield Fact("Angle of the bends", f"{shown(own['angle'])}°", "0 for a geodesic, 90 by chance")
    yield common.model_fact(result.model)
    about = f"α = {shot.alpha:.3g}, d = {shot.dim}, noise level {level:g} (σ = {shot.sigma:.2f})"
    yield Fact("Strength", f"α·d = {shot.alpha * shot.dim:.3g}", about)
    yield common.cost_fact(result.costs)


def _claims(result: VideoResult) -> Iterator[Section]:
    if result.claims:
        tones = {True: Tone.GOOD, False: Tone.BAD, None: Tone.FAINT}
        rows = [(c.claim, c.found, Cell(c.verdict, tone=tones[c.holds])) for c in result.claims]
        table = Table(("claim", "found", "verdict"), rows, numeric=False)
        yield Section("The paper's claims", [table])


def _controls(result: VideoResult) -> Iterator[Section]:
    if not result.settings.windows.controls:
        return
    panels = []
    for name, title, log in COMPARED:
        found = [(v, intervals[name]) for v, intervals in result.summary.items()]
        means = [Interval(v.value, i.mean, i.low, i.high, v is Variant.CLIP) for v, i in found]
        panels.append(IntervalPanel(title, means, log))
    caption = f"Means with 95% intervals over {units(result)}."
    yield Section("Clip and controls", [Plot(IntervalPlot(panels), caption=caption)])


def _mean(shot: ShotAnalysis, name: str, variant: Variant = Variant.CLIP) -> str:
    """The mean of a statistic over the windows of a shot."""
    value = float(getattr(shot.measured.statistics[variant], name).nanmean())
    return f"{value:.3g}" if math.isfinite(value) else "–"


def _table(result: VideoResult) -> Table:
    rows = [
        (shot.name, str(len(shot.frames)), *(_mean(shot, name) for name in TABLE))
        for shot in result.shots
    ]
    return Table(("clip", "frames", *TABLE.values()), rows)


def _shot(shot: ShotAnalysis) -> Section:
    ended = f", ended by {shot.ended}" if shot.ended else ""
    good, of = shot.measured.solved
    blocks: list[Block] = [Facts(list(_shot_facts(shot)))]
    if shot.strips:
        number = f"{shot.clip}-{shot.number}".encode().hex()[:24]
        rows = [FilmRow(row.name, common.clamped(row.images)) for row in shot.strips]
        blocks.append(Film(rows, file=f"strips/{number}.png"))
    blocks += [Plot(LinePlot(_over_time(shot))), Plot(LinePlot(_motion(shot)))]
    note = (
        f"Frames {int(shot.frames[0])} to {int(shot.frames[-1])} of the file, "
        f"{float(shot.times[0]):.2f} to {float(shot.times[-1]):.2f} s{ended}; "
        f"{shot.measured.starts.shape[1]} windows, {good} of {of} geodesics found."
    )
    return Section(shot.name, blocks, note=note, warning="; ".join(shot.foreign))


def _shot_facts(shot: ShotAnalysis) -> Iterator[Fact]:
    others = [v for v in (Variant.SLERP, Variant.LERP) if v in shot.measured.statistics]
    lengths = ", ".join(f"{v.value} {_mean(shot, 'length', v)}" for v in others)
    yield Fact("Deviation", _mean(shot, "deviation"), "of the chord, window by window")
    yield Fact("Length over the geodesic's", _mean(shot, "length"), lengths)
    yield Fact("Jitter", _mean(shot, "jitter"), "share of the acceleration")
    if shot.density_disagreement is not None:
        about = "by how much the ways to the last frame disagree"
        yield Fact("Log density, error", f"{shot.density_disagreement:.0f} nats", about)


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
    times = shot.times
    inner, middles = times[shot.half : len(times) - shot.half], 0.5 * (times[1:] + times[:-1])

    def panel(title: str, t: Tensor, values: Tensor, **looks: Any) -> Panel:
        return Panel(title, "seconds", [Trace("clip", t, values)], **looks)

    line = [Level(1.0, "a straight line")]
    bends = shot.measured.bends.residual
    return [
        panel("Euler-Lagrange residual", inner, bends, log_y=True, levels=line),
        panel("step between frames", middles, shot.steps, from_zero=True),
    ]


def _window_sheet(result: VideoResult) -> Sheet:
    names = Statistics.names()
    rows: list[list[object]] = []
    for shot in result.shots:
        for variant, found in shot.measured.statistics.items():
            columns = [getattr(found, name).tolist() for name in names]
            for window, values in enumerate(zip(*columns, strict=True)):
                rows.append([shot.clip, shot.number, variant.value, window, *values])
    return Sheet(("clip", "part", "variant", "window", *names), rows)


def _frame_sheet(result: VideoResult) -> Sheet:
    rows: list[list[object]] = []
    head = ("clip", "part")
    for shot in result.shots:
        found, edge = shot.measured, [None] * shot.half
        columns = {
            "frame": shot.frames.tolist(),
            "time": shot.times.tolist(),
            "log_density": found.log_density.tolist(),
            "noise_energy": found.noise_energy.tolist(),
            "norm": shot.norms.tolist(),
            "step": [None, *shot.steps.tolist()],
            "residual": [*edge, *found.bends.residual.tolist(), *edge],
            "angle": [*edge, *found.bends.angle.tolist(), *edge],
        }
        head = ("clip", "part", *columns)
        lines = zip(*columns.values(), strict=True)
        rows += [[shot.clip, shot.number, *values] for values in lines]
    return Sheet(head, rows)


def _record(result: VideoResult) -> dict[str, object]:
    """What result.json holds besides that of every job."""
    return {
        "summary": {
            variant.value: {
                name: {"mean": i.mean, "low": i.low, "high": i.high, "count": i.count}
                for name, i in found.items()
            }
            for variant, found in result.summary.items()
        },
        "units": units(result),
        "claims": [{"claim": c.claim, "found": c.found, "holds": c.holds} for c in result.claims],
        "foreign": {name: list(reasons) for name, reasons in result.foreign.items()},
        "parts": [_shot_record(shot) for shot in result.shots],
    }


def _shot_record(shot: ShotAnalysis) -> dict[str, object]:
    found, known = shot.measured, shot.known
    (solved, of), ends = found.solved, shot.frames[found.starts].T.tolist()
    statistics = {
        variant.value: {name: getattr(values, name) for name in Statistics.names()}
        for variant, values in found.statistics.items()
    }
    curves = "length t log_density noise_energy"
    whole = {path.name: common.values_of(path, curves) for path in found.paths}
    return {
        **common.values_of(shot, "clip ended frames times radius sigma alpha dim"),
        **common.values_of(found, "log_density noise_energy"),
        "part": shot.number,
        "windows": [{"first": first, "last": last} for first, last in ends],
        "statistics": statistics,
        "whole": whole,
        "log_density_disagreement": shot.density_disagreement,
        "geodesics": {"solved": solved, "of": of, "greatest_residual": found.residual},
        "known": {"psnr": known.psnr, "misfit": known.misfit},
        "norm_variation": float(shot.norms.std() / shot.norms.mean()),
    }
