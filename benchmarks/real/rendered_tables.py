"""What rendered clips say of geodesics, as sentences and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from benchmarks.evidence.numbers import percent, with_interval
from benchmarks.record import Data, as_data, table
from diffusion_geodesics.measures import bootstrap_mean
from training.clips import Law, Motion

PLAIN, REMOVED = "plain", "noise removed"
SLOW, FAST, JERKY = Law.SLOW.value, Law.FAST.value, Law.JERKY.value
CURVES = {
    "clip": "the clip",
    "five frames": "five frames of it",
    "halves reversed": "its halves reversed",
    "shuffled": "its frames shuffled",
    "random smooth": "a random smooth path of its length",
    "slerp": "slerp",
}
Value = Callable[[Data, str], float]


def own(row: Data, curve: str) -> float:
    """Deviation over the curve's own length."""
    return row["deviation"][curve]


def over_geodesic(row: Data, curve: str) -> float:
    """Deviation over the length of the geodesic."""
    return row["deviation"][curve] * row["length"][curve]


def length(row: Data, curve: str) -> float:
    """Length over the geodesic's."""
    return row["length"][curve]


def from_slerp(row: Data, curve: str) -> float:
    """Deviation from slerp over the curve's own length."""
    return row["from slerp"][curve]


def mean_of(rows: Sequence[Data], value: Callable[[Data], float]) -> str:
    """A mean over windows with its interval."""
    return with_interval(as_data(bootstrap_mean([round(value(r), 6) for r in rows])))


def curve_table(rows: Sequence[Data], names: Mapping[str, str]) -> str:
    """A row a curve: its deviations and its length."""
    head = ("curve", "over its length", "over the geodesic's", "length over the geodesic's",
            "from slerp, over its length")  # fmt: skip
    values: list[Value] = [own, over_geodesic, length, from_slerp]
    cells = [
        [words, *(mean_of(rows, lambda r, c=curve, v=value: v(r, c)) for value in values)]
        for curve, words in names.items()
    ]
    return table(head, cells)


def by_motion(rows: Sequence[Data]) -> dict[str, list[Data]]:
    """The rows of each motion."""
    return {m.value: [r for r in rows if r["motion"] == m.value] for m in Motion}


def at_speed(rows: Sequence[Data], speed: str, kind: str = PLAIN) -> list[Data]:
    """The windows of one speed."""
    return [row[kind][speed] for row in rows]


def speed_table(rows: Sequence[Data], kind: str = PLAIN) -> str:
    """A row a motion: deviation at three speeds, and length at two."""
    head = ("motion", "slow", "fast", "fast, resampled", "slow, five frames",
            "slow, over the geodesic's", "fast, over the geodesic's", "length, slow",
            "length, fast")  # fmt: skip
    columns: list[tuple[str, Value, str]] = [
        (SLOW, own, "clip"), (FAST, own, "clip"), (JERKY, own, "clip"), (SLOW, own, "five frames"),
        (SLOW, over_geodesic, "clip"), (FAST, over_geodesic, "clip"), (SLOW, length, "clip"),
        (FAST, length, "clip"),
    ]  # fmt: skip
    cells = [
        [
            motion,
            *(
                mean_of(at_speed(some, speed, kind), lambda r, v=value, c=curve: v(r, c))
                for speed, value, curve in columns
            ),
        ]
        for motion, some in by_motion(rows).items()
    ]
    return table(head, cells)


def growth(rows: Sequence[Data]) -> str:
    """By motion, how much longer a fast clip is than the slow one, and how much further from its
    geodesic over its own length."""

    def ratio(of: Callable[[Data], float]) -> Callable[[Data], float]:
        return lambda r: of(r[PLAIN][FAST]) / of(r[PLAIN][SLOW])

    longer, further = ratio(lambda r: r["speed"]), ratio(lambda r: own(r, "clip"))
    found = (
        f"{motion} {mean_of(some, longer)} times longer and {mean_of(some, further)} times further"
        for motion, some in by_motion(rows).items()
    )
    return "; ".join(found)


def noise_shares(rows: Sequence[Data]) -> str:
    """By motion, how much of a slow clip's mean square step is what counts as noise."""

    def share(row: Data) -> float:
        return 2 * row[REMOVED][SLOW]["noise"] / row[REMOVED][SLOW]["step"]

    shares = {m: mean_of(some, share) for m, some in by_motion(rows).items()}
    return ", ".join(f"{motion} {share}" for motion, share in shares.items())


def sentences(rows: Sequence[Data]) -> list[str]:
    """What the intervals say of slow against fast, and of clips against their controls."""

    def share(some: Sequence[Data], nearer: Callable[[Data], bool]) -> str:
        return percent(as_data(bootstrap_mean([float(nearer(r)) for r in some])))

    lines = []
    for motion, some in by_motion(rows).items():
        slow_own = share(some, lambda r: own(r[PLAIN][SLOW], "clip") < own(r[PLAIN][FAST], "clip"))
        slow_other = share(
            some,
            lambda r: over_geodesic(r[PLAIN][SLOW], "clip") < over_geodesic(r[PLAIN][FAST], "clip"),
        )
        lines.append(
            f"Rendered clips, {motion}: the slow one is nearer to its geodesic than the fast one "
            f"in {slow_own} of the motions over its own length, in {slow_other} over the "
            "geodesic's."
        )
    for speed in (SLOW, FAST):
        windows = at_speed(rows, speed)

        def nearer(curve: str, value: Value, windows: list[Data] = windows) -> str:
            won = share(windows, lambda r: value(r, "clip") < value(r, curve))
            return f"{CURVES[curve]} in {won}"

        lines.append(
            f"Rendered clips, {speed}: over its own length the clip is nearer to its geodesic than "
            f"{nearer('random smooth', own)}; over the geodesic's length, than "
            f"{nearer('random smooth', over_geodesic)}, than "
            f"{nearer('halves reversed', over_geodesic)} and than "
            f"{nearer('shuffled', over_geodesic)}."
        )
    return lines
