"""The frank reading: sentences that are tested against the numbers that they carry.

A claim that the numbers do not support is printed as one that does not hold, with the same
numbers; one whose numbers were not measured is left out.
"""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.evidence.claim import Claim, Data, Found
from benchmarks.evidence.numbers import above, below, value, wins, with_interval

GOAL = 0.75
"""Share of pairs that the goal asks for."""
PAPER = "published at the same level"
"""The paper's algorithm where it starts from the inversion of all others."""
PATH = "natural 0"
"""The warped path along correspondences, which nothing bends."""


def _mean(told: Data | None) -> float:
    return float("nan") if told is None else float(told["mean"])


def _both(quantity: str, group: str) -> Callable[[Data], Found]:
    return lambda d: {
        rival: wins(d, "main", d["ours"], quantity, rival, group) for rival in ("slerp", "lerp")
    }


def _reached(found: Found) -> bool:
    return all(above(v) and _mean(v) >= GOAL for v in found.values())


def _not_worse(found: Found) -> bool:
    return not any(below(v) for v in found.values())


def _against(name: str, method: str, quantity: str) -> Callable[[Data], Found]:
    return lambda d: {"share": wins(d, name, method, quantity, "slerp")}


def _values(quantity: str, **where: tuple[str, str]) -> Callable[[Data], Found]:
    return lambda d: {k: value(d, name, m, quantity) for k, (name, m) in where.items()}


def _beside_the_path(quantity: str) -> Callable[[Data], Found]:
    return lambda d: {
        "path": value(d, "main", PATH, quantity),
        "geodesic": value(d, "main", d["ours"], quantity),
    }


def _densities(data: Data) -> Found:
    means = data["densities"]["means"]
    return {
        "slerp": means.get("slerp"),
        "geodesic": means.get("geodesic 1"),
        "truth": means.get("truth"),
    }


CLAIMS = (
    Claim(
        "Where a detour is needed (turn, hair, expression), `{ours}`, the default, is nearer to "
        "the truth than slerp and than lerp on at least 75% of the pairs.",
        "Wins on the distance to the true frame at the same fraction: {slerp} against slerp, "
        "{lerp} against lerp.",
        _both("truth", "detour"),
        _reached,
    ),
    *(
        Claim(
            f"{what}: `{{ours}}` is nearer to the truth than slerp and than lerp on at least 75% "
            "of the pairs.",
            "Wins: {slerp} against slerp, {lerp} against lerp.",
            _both("truth", kind),
            _reached,
        )
        for kind, what in (
            ("turn", "Heads that turn"),
            ("hair", "Hair that grows"),
            ("expression", "Changes of expression"),
            ("all", "Heads that differ in everything"),
        )
    ),
    Claim(
        "Where a detour is needed, `{ours}` makes more of it than slerp and than lerp on at least "
        "75% of the pairs.",
        "Wins on the detour: {slerp} against slerp, {lerp} against lerp.",
        _both("detour", "detour"),
        _reached,
    ),
    Claim(
        "Where a detour is needed, `{ours}` covers more of the middle of the change than slerp and "
        "lerp.",
        "Wins on coverage: {slerp} against slerp, {lerp} against lerp.",
        _both("coverage", "detour"),
        lambda f: all(above(v) for v in f.values()),
    ),
    *(
        Claim(
            f"Where a detour is needed, `{{ours}}` does not measurably {what} than slerp and lerp.",
            f"Wins on {quantity}: {{slerp}} against slerp, {{lerp}} against lerp.",
            _both(quantity, "detour"),
            _not_worse,
        )
        for quantity, what in (
            ("drift", "drift more"),
            ("ghosting", "ghost more"),
            ("off manifold", "lie further from any rendering"),
        )
    ),
    *(
        Claim(
            f"{what}: `{{ours}}` does not measurably drift more than slerp and lerp.",
            "Wins on drift: {slerp} against slerp, {lerp} against lerp.",
            _both("drift", kind),
            _not_worse,
        )
        for kind, what in (("turn", "Heads that turn"), ("hair", "Hair that grows"))
    ),
    *(
        Claim(
            f"{what}: `{{ours}}` is not measurably further from the truth than slerp and lerp.",
            "Wins: {slerp} against slerp, {lerp} against lerp.",
            _both("truth", kind),
            _not_worse,
        )
        for kind, what in (("light", "Changes of light"), ("glasses", "Glasses that appear"))
    ),
    Claim(
        "Over all pairs `{ours}` is nearer to the truth than slerp and lerp.",
        "Wins: {slerp} against slerp, {lerp} against lerp.",
        _both("truth", "all pairs"),
        lambda f: all(above(v) for v in f.values()),
    ),
    Claim(
        "Density takes the path along correspondences away from the truth: `{ours}` is further "
        "from it than that path itself.",
        "Distance in dB over all pairs: the path {path}, bent by the density {geodesic}.",
        _beside_the_path("truth"),
        lambda f: _mean(f["geodesic"]) < _mean(f["path"]),
        with_interval,
    ),
    Claim(
        "And it makes it ghost less.",
        "Ghosting over all pairs: the path {path}, bent by the density {geodesic}.",
        _beside_the_path("ghosting"),
        lambda f: _mean(f["geodesic"]) < _mean(f["path"]),
        with_interval,
    ),
    Claim(
        "The stronger its metric, the further the natural path is from the truth.",
        "Distance in dB at α·d = 0, 0.3 and 1: {none}, {default}, {one}.",
        lambda d: {
            "none": value(d, "further methods", PATH, "truth"),
            "default": value(d, "further methods", d["ours"], "truth"),
            "one": value(d, "further methods", "natural 1", "truth"),
        },
        lambda f: _mean(f["one"]) < _mean(f["default"]) < _mean(f["none"]),
        with_interval,
    ),
    Claim(
        "The geodesic of the plain density (α·d = 1) about the great circle is nearer to the truth "
        "than slerp.",
        "It wins on {share} of the pairs beside the paper's algorithm.",
        _against("paper", "geodesic 1", "truth"),
        lambda f: above(f["share"]),
    ),
    Claim(
        "A stronger metric takes frames further from the truth.",
        "Distance in dB at α·d = 1, 3 and 10: {one}, {three}, {ten}.",
        _values(
            "truth",
            one=("further methods", "geodesic 1"),
            three=("further methods", "geodesic 3"),
            ten=("further methods", "geodesic 10"),
        ),
        lambda f: _mean(f["ten"]) < _mean(f["three"]) < _mean(f["one"]),
        with_interval,
    ),
    Claim(
        "Without a prompt, hlerp is nearer to the truth than slerp.",
        "It wins on {share} of the pairs.",
        _against("further methods", "hlerp", "truth"),
        lambda f: above(f["share"]),
    ),
    Claim(
        "Without a prompt, lerp is nearer to the truth than slerp.",
        "It wins on {share} of all pairs.",
        _against("main", "lerp", "truth"),
        lambda f: above(f["share"]),
    ),
    Claim(
        "With captions, hlerp with a guidance bump is nearer to the truth than slerp.",
        "It wins on {share} of the pairs.",
        _against("prompts", "hlerp + bump 2", "truth"),
        lambda f: above(f["share"]),
    ),
    Claim(
        "With captions, the geodesic of the ratio is nearer to the truth than slerp.",
        "It wins on {share} of the pairs.",
        _against("prompts", "geodesic 1 ratio", "truth"),
        lambda f: above(f["share"]),
    ),
    Claim(
        "The paper's algorithm, from the same inversion, is nearer to the truth than slerp.",
        "It wins on {share} of the pairs.",
        _against("paper", PAPER, "truth"),
        lambda f: above(f["share"]),
    ),
    Claim(
        "`{ours}` is nearer to the truth than the paper's algorithm from the same inversion.",
        "Distance in dB: {own} against {theirs}.",
        lambda d: {
            "own": value(d, "paper", d["ours"], "truth"),
            "theirs": value(d, "paper", PAPER, "truth"),
        },
        lambda f: _mean(f["own"]) > _mean(f["theirs"]),
        with_interval,
    ),
    Claim(
        "The lower the noise level, the nearer slerp is to the truth.",
        "Distance in dB at levels 0.2, 0.4, 0.6 and 0.8: {a}, {b}, {c}, {d}.",
        _values(
            "truth",
            **{
                k: (f"level {v}", "slerp")
                for k, v in zip("abcd", ("0.2", "0.4", "0.6", "0.8"), strict=True)
            },
        ),
        lambda f: _mean(f["a"]) > _mean(f["b"]) > _mean(f["c"]) > _mean(f["d"]),
        with_interval,
    ),
    Claim(
        "The geodesic's path is denser in the middle than slerp's, as it should be.",
        "Relative log density along the path at the middle frame, in nats: {geodesic} against "
        "{slerp}.",
        _values("log p middle", geodesic=("level 0.4", "geodesic 1"), slerp=("level 0.4", "slerp")),
        lambda f: _mean(f["geodesic"]) > _mean(f["slerp"]),
        with_interval,
    ),
    Claim(
        "In absolute terms too, the geodesic's middle image is denser than slerp's.",
        "Log density of the middle image less that of the ends, in nats: geodesic {geodesic}, "
        "slerp {slerp}, truth {truth}.",
        _densities,
        lambda f: _mean(f["geodesic"]) > _mean(f["slerp"]),
        with_interval,
    ),
    Claim(
        "Density is not naturalness: slerp's middle image is denser than the true one.",
        "Log density of the middle image less that of the ends, in nats: slerp {slerp}, truth "
        "{truth}, geodesic {geodesic}.",
        _densities,
        lambda f: _mean(f["slerp"]) > _mean(f["truth"]),
        with_interval,
    ),
    Claim(
        "The measures know the truth from a cross-fade: true frames cover the middle and do not "
        "drift, a pixel blend covers nothing.",
        "Coverage {true} and drift {drift} of the true frames, coverage {fade} of the pixel "
        "blend, where a detour is needed.",
        lambda d: {
            "true": value(d, "main", "truth", "coverage", "detour"),
            "drift": value(d, "main", "truth", "drift", "detour"),
            "fade": value(d, "further methods", "pixel blend", "coverage", "detour"),
        },
        lambda f: _mean(f["true"]) > 0.9 and _mean(f["drift"]) < 0.5 and _mean(f["fade"]) < 0.1,
        with_interval,
    ),
)


def reading(data: Data) -> list[Data]:
    """Every claim that was measured, in order."""
    found = (claim.read(data) for claim in CLAIMS)
    return [c for c in found if c is not None]
