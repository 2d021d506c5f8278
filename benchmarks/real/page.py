"""docs/evidence-real.md, out of the results and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import rife
from benchmarks.evidence.numbers import AGAINST, methods, number, percent, with_interval
from benchmarks.evidence.page import means, win_table
from benchmarks.real import rendered_tables
from benchmarks.real.betweens import HOLD, QUANTITIES, SAME, TRUTH
from benchmarks.real.rendered_tables import curve_table, mean_of, over_geodesic, own
from benchmarks.record import ROOT, Data, as_data, table, template
from diffusion_geodesics.measures import bootstrap_mean

PAGE = ROOT / "docs" / "evidence-real.md"
CURVES = rendered_tables.CURVES | {"clip": "the film"}


def page(found: Data) -> str:
    """The page as Markdown."""
    every, *lengths = found["studies"]
    windows, clips, films = found["windows"], found["clips"], found["films"]
    rendered = found["rendered"]
    about = {q.name: {"better": q.better.value, "about": q.about} for q in QUANTITIES}
    timed, equal = (of_kind(clips, kind) for kind in ("equal time", "equal length"))
    return template(Path(__file__).with_name("real.md.j2")).render(
        lines=[
            *reading(every),
            *reading(films, "the five films, "),
            *near(clips),
            *rendered_tables.sentences(rendered),
        ],
        every=every,
        lengths=lengths,
        films=films,
        each=_films(found["film windows"]),
        truth=TRUTH,
        hold=HOLD,
        quantities=QUANTITIES,
        seconds=round(sum(row["seconds"] for row in windows) / len(windows)),
        means=lambda part: means({"quantities": about}, part, None),
        wins=win_table,
        rival=rife.NAME if rife.NAME in methods(every) else "",
        same=SAME,
        bent=mean_of(timed, lambda r: own(r, "clip")),
        noise=number(clips["noise"]),
        step=number(clips["step"]),
        frames=clips["frames"],
        timed=len(timed),
        equal=len(equal),
        curves=curve_table(timed, CURVES),
        apart=mean_of(timed, lambda r: r["apart"]),
        speeds=_speeds({"equal time": timed, "equal length": equal}),
        rendered=rendered,
        level=found["settings"]["rendered"]["inversion"]["level"],
        tables=rendered_tables,
    )


def reading(study: Data, where: str = "") -> list[str]:
    """What the intervals decide, a sentence a method."""
    lines = []
    for method, row in methods(study).items():
        won = {b: row[key] for b, key in AGAINST.items() if row.get(key)}
        reference = method in (HOLD, "lerp") or method.startswith(TRUTH.split(",")[0])
        if won and not reference:
            said = "; ".join(f"against {b} {_verdict(found)}" for b, found in won.items())
            lines.append(f"{where}{method}: {said}.")
    return [line[0].upper() + line[1:] for line in lines]


def _verdict(won: Data) -> str:
    """In which quantities the interval of windows won lies on one side of a half."""
    known = {q: w for q, w in won.items() if w["low"] is not None}
    sides = {
        "better in": [q for q, w in known.items() if w["low"] > 0.5],
        "worse in": [q for q, w in known.items() if w["high"] < 0.5],
    }
    said = [f"{side} {', '.join(found)}" for side, found in sides.items() if found]
    return " and ".join(said) or "nothing is decided"


def of_kind(clips: Data, kind: str) -> list[Data]:
    """The windows of equal time, or of equal length."""
    return [row for row in clips["rows"] if row["kind"] == kind]


def halves(rows: Sequence[Data]) -> tuple[list[Data], list[Data]]:
    """The slower and the faster half of windows."""
    ordered, half = sorted(rows, key=lambda r: r["speed"]), len(rows) // 2
    return ordered[:half], ordered[-half:]


def near(clips: Data) -> list[str]:
    """What the intervals say of the film against its controls, and of slow against fast."""
    timed = of_kind(clips, "equal time")

    def won(curve: str, value: Callable[[Data, str], float]) -> str:
        share = [float(value(r, "clip") < value(r, curve)) for r in timed]
        return f"{CURVES[curve]} in {percent(as_data(bootstrap_mean(share)))} of the windows"

    lines = [
        f"Over its own length the film is nearer to its geodesic than {won('random smooth', own)}"
        f"; over the geodesic's length, than {won('random smooth', over_geodesic)}, than "
        f"{won('halves reversed', over_geodesic)} and than {won('shuffled', over_geodesic)}.",
    ]
    measures = (
        ("clip", "its own length", own),
        ("clip", "the geodesic's length", over_geodesic),
        ("five frames", "their own length", own),
    )
    for kind in ("equal time", "equal length"):
        for curve, over, value in measures:
            slow, fast = (
                as_data(bootstrap_mean([value(r, curve) for r in half]))
                for half in halves(of_kind(clips, kind))
            )
            lines.append(
                f"Windows of {kind}, {CURVES[curve]}: deviation over {over} of the slower half "
                f"{with_interval(slow)}, of the faster {with_interval(fast)}: "
                f"{_nearer(slow, fast)}."
            )
    return lines


def _nearer(slow: Data, fast: Data) -> str:
    if slow["high"] < fast["low"]:
        return "slow is nearer"
    return "fast is nearer" if fast["high"] < slow["low"] else "the intervals overlap"


def _speeds(groups: dict[str, list[Data]]) -> str:
    head = ("windows of", "half", "frames", "deviation", "of five frames",
            "over the geodesic's", "length ratio")  # fmt: skip
    cells = [
        [
            kind,
            name,
            mean_of(half, lambda r: r["last"] - r["first"] + 1),
            *(
                mean_of(half, lambda r, c=curve: r["deviation"][c])
                for curve in ("clip", "five frames")
            ),
            mean_of(half, lambda r: over_geodesic(r, "clip")),
            mean_of(half, lambda r: r["length"]["clip"]),
        ]
        for kind, rows in groups.items()
        for name, half in zip(("slower", "faster"), halves(rows), strict=True)
    ]
    return table(head, cells, words=2)


def _films(rows: Sequence[Data]) -> str:
    """Means a film, of few windows, so without intervals."""
    compared = [m for m in ("lerp", "natural 0", rife.NAME) if m in rows[0]["scores"]]
    columns = [(q, m) for q in ("truth", "ST-LPIPS") for m in compared]
    cells = []
    for film in dict.fromkeys(row["film"] for row in rows):
        own = [row["scores"] for row in rows if row["film"] == film]
        means = (sum(s[m][q] for s in own) / len(own) for q, m in columns)
        cells.append([film, *(number(mean) for mean in means)])
    units = {"truth": "dB", "ST-LPIPS": "ST-LPIPS"}
    return table(("film", *(f"{m}, {units[q]}" for q, m in columns)), cells)
