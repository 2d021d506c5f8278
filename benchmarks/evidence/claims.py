"""The frank reading: sentences that are tested against the numbers that they carry.

A claim that the numbers do not support is printed as one that does not hold, with the same
numbers; one whose numbers were not measured is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import final

from benchmarks import rife
from benchmarks.evidence.numbers import percent, value, wins, with_interval
from benchmarks.record import Data

GOAL = 0.75
"""Share of pairs that the goal asks for."""
PAPER = "published at the same level"
"""The paper's algorithm where it starts from the inversion of all others."""
PATH = "natural 0"
"""The warped path along correspondences, which nothing bends."""
SAMPLED = "natural excess 0"
"""The default's path with frames that are samples of the network everywhere."""

Found = Mapping[str, Data | None]


@final
@dataclass(frozen=True)
class Claim:
    """A sentence about the results.

    Args:
        says: the claim itself.
        numbers: what it rests on, with a place for each number by its name.
        find: the numbers, from the results.
        holds: whether they support the claim.
        show: how a number is written.
    """

    says: str
    numbers: str
    find: Callable[[Data], Found]
    holds: Callable[[Found], bool]
    show: Callable[[Data | None], str] = percent

    def read(self, data: Data) -> Data | None:
        """The claim as it is printed, and whether it holds; None where a number is missing."""
        found = self.find(data)
        if any(not v for v in found.values()):
            return None
        shown = {name: self.show(v) for name, v in found.items()}
        ours = data["ours"]
        return {
            "says": self.says.format(ours=ours),
            "holds": self.holds(found),
            "numbers": self.numbers.format(ours=ours, **shown),
        }


def reading(data: Data) -> list[Data]:
    """Every claim that was measured, in order."""
    found = (claim.read(data) for claim in CLAIMS)
    return [c for c in found if c is not None]


def _mean(told: Data | None) -> float:
    return float("nan") if told is None else float(told["mean"])


def _above(told: Data | None) -> bool:
    """Whether an interval excludes a draw, upwards."""
    return told is not None and told.get("low") is not None and told["low"] > 0.5


def _better(found: Found) -> bool:
    return all(_above(v) for v in found.values())


def _reached(found: Found) -> bool:
    return _better(found) and all(_mean(v) >= GOAL for v in found.values())


def _not_worse(found: Found) -> bool:
    highs = [v["high"] for v in found.values() if v is not None and v.get("high") is not None]
    return all(high >= 0.5 for high in highs)


def _against_both(
    says: str, quantity: str, group: str, holds: Callable[[Found], bool], on: str = ""
) -> Claim:
    """A claim about the default against slerp and lerp, on one group of pairs."""
    return Claim(
        says,
        f"Wins{on}: {{slerp}} against slerp, {{lerp}} against lerp.",
        lambda d: {b: wins(d, "main", d["ours"], quantity, b, group) for b in ("slerp", "lerp")},
        holds,
    )


def _against_rife(
    says: str, holds: Callable[[Found], bool], *groups: str, quantity: str = "truth"
) -> Claim:
    """A claim about the default against a network for films, group by group."""
    return Claim(
        says,
        "Wins: " + ", ".join(f"{group} {{{group.split()[0]}}}" for group in groups) + ".",
        lambda d: {
            g.split()[0]: wins(d, "main", d["ours"], quantity, rife.NAME, g) for g in groups
        },
        holds,
    )


def _nearer_than_slerp(what: str, name: str, method: str, where: str = "the pairs") -> Claim:
    """A claim that a method is nearer to the truth than slerp."""
    return Claim(
        f"{what} is nearer to the truth than slerp.",
        f"It wins on {{share}} of {where}.",
        lambda d: {"share": wins(d, name, method, "truth", "slerp")},
        _better,
    )


def _falling(says: str, numbers: str, quantity: str, *places: tuple[str, str | None]) -> Claim:
    """A claim that means fall from place to place: studies and methods (None: the default)."""

    def holds(found: Found) -> bool:
        means = [_mean(v) for v in found.values()]
        return all(a > b for a, b in pairwise(means))

    return Claim(
        says,
        numbers,
        lambda d: {
            letter: value(d, name, method or d["ours"], quantity)
            for letter, (name, method) in zip("abcd", places, strict=False)
        },
        holds,
        with_interval,
    )


def _middle(says: str, numbers: str, denser: str, than: str) -> Claim:
    """A claim about the absolute densities of middle images."""
    names = {"slerp": "slerp", "geodesic": "geodesic 1", "truth": "truth"}
    return Claim(
        says,
        f"Log density of the middle image less that of the ends, in nats: {numbers}.",
        lambda d: {k: d["densities"]["means"].get(n) for k, n in names.items()},
        lambda f: _mean(f[denser]) > _mean(f[than]),
        with_interval,
    )


_75 = "than slerp and than lerp on at least 75% of the pairs."
_BOTH = "than slerp and lerp."
_DETOUR = "Where a detour is needed"
_FURTHER, _LEVEL = "further methods", "level 0.4"
_TURN, _HAIR = ("turn", "Heads that turn"), ("hair", "Hair that grows")

# fmt: off
CLAIMS = (
    _against_both(
        f"{_DETOUR} (turn, hair, expression), `{{ours}}`, the default, is nearer to the truth "
        f"{_75}", "truth", "detour", _reached,
        on=" on the distance to the true frame at the same fraction",
    ),
    *(
        _against_both(f"{what}: `{{ours}}` is nearer to the truth {_75}", "truth", kind, _reached)
        for kind, what in (
            _TURN, _HAIR, ("expression", "Changes of expression"),
            ("all", "Heads that differ in everything"),
        )
    ),
    _against_both(
        f"{_DETOUR}, `{{ours}}` makes more of it {_75}", "detour", "detour", _reached,
        on=" on the detour",
    ),
    _against_both(
        f"{_DETOUR}, `{{ours}}` covers more of the middle of the change {_BOTH}",
        "coverage", "detour", _better, on=" on coverage",
    ),
    *(
        _against_both(
            f"{_DETOUR}, `{{ours}}` does not measurably {what} {_BOTH}",
            quantity, "detour", _not_worse, on=f" on {quantity}",
        )
        for quantity, what in (
            ("drift", "drift more"), ("ghosting", "ghost more"),
            ("off manifold", "lie further from any rendering"),
        )
    ),
    *(
        _against_both(
            f"{what}: `{{ours}}` does not measurably drift more {_BOTH}",
            "drift", kind, _not_worse, on=" on drift",
        )
        for kind, what in (_TURN, _HAIR)
    ),
    *(
        _against_both(
            f"{what}: `{{ours}}` is not measurably further from the truth {_BOTH}",
            "truth", kind, _not_worse,
        )
        for kind, what in (("light", "Changes of light"), ("glasses", "Glasses that appear"))
    ),
    _against_both(
        f"Over all pairs `{{ours}}` is nearer to the truth {_BOTH}", "truth", "all pairs", _better
    ),
    _against_rife(
        f"Over all pairs `{{ours}}` is nearer to the truth than {rife.NAME}.", _better, "all pairs"
    ),
    _against_rife(
        f"In no kind of pairs {rife.NAME} is measurably nearer to the truth than `{{ours}}`.",
        _not_worse, "turn", "smile", "hair", "light", "glasses", "expression", "all",
    ),
    _against_rife(
        f"Over all pairs `{{ours}}` ghosts less than {rife.NAME}.", _better, "all pairs",
        quantity="ghosting",
    ),
    _falling(
        "Warped images that are shown as they are where they are probable are nearer to the truth: "
        "`{ours}` is nearer than the same path with frames that the network samples everywhere.",
        "Distance in dB over all pairs: {a}, sampled everywhere {b}.",
        "truth", ("main", None), ("main", SAMPLED),
    ),
    _falling(
        "And they ghost less.",
        "Ghosting over all pairs: sampled everywhere {a}, the default {b}.",
        "ghosting", ("main", SAMPLED), ("main", None),
    ),
    _falling(
        "Density takes the path along correspondences away from the truth: `{ours}` is further "
        "from it than that path itself.",
        "Distance in dB over all pairs: the path {a}, bent by the density {b}.",
        "truth", ("main", PATH), ("main", None),
    ),
    _falling(
        "And it makes it ghost less.",
        "Ghosting over all pairs: the path {a}, bent by the density {b}.",
        "ghosting", ("main", PATH), ("main", None),
    ),
    _falling(
        "The stronger its metric, the further the natural path is from the truth.",
        "Distance in dB at α·d = 0, 0.3 and 1: {a}, {b}, {c}.",
        "truth", (_FURTHER, PATH), (_FURTHER, None), (_FURTHER, "natural 1"),
    ),
    _nearer_than_slerp(
        "The geodesic of the plain density (α·d = 1) about the great circle",
        "paper", "geodesic 1", "the pairs beside the paper's algorithm",
    ),
    _falling(
        "A stronger metric takes frames further from the truth.",
        "Distance in dB at α·d = 1, 3 and 10: {a}, {b}, {c}.",
        "truth", *((_FURTHER, f"geodesic {strength}") for strength in (1, 3, 10)),
    ),
    _nearer_than_slerp("Without a prompt, hlerp", _FURTHER, "hlerp"),
    _nearer_than_slerp("Without a prompt, lerp", "main", "lerp", "all pairs"),
    _nearer_than_slerp("With captions, hlerp with a guidance bump", "prompts", "hlerp + bump 2"),
    _nearer_than_slerp(
        "With captions, the geodesic of the ratio", "prompts", "geodesic 1 ratio"
    ),
    _nearer_than_slerp("The paper's algorithm, from the same inversion,", "paper", PAPER),
    _falling(
        "`{ours}` is nearer to the truth than the paper's algorithm from the same inversion.",
        "Distance in dB: {a} against {b}.", "truth", ("paper", None), ("paper", PAPER),
    ),
    _falling(
        "The lower the noise level, the nearer slerp is to the truth.",
        "Distance in dB at levels 0.2, 0.4, 0.6 and 0.8: {a}, {b}, {c}, {d}.",
        "truth", *((f"level {level}", "slerp") for level in (0.2, 0.4, 0.6, 0.8)),
    ),
    _falling(
        "The geodesic's path is denser in the middle than slerp's, as it should be.",
        "Relative log density along the path at the middle frame, in nats: {a} against {b}.",
        "log p middle", (_LEVEL, "geodesic 1"), (_LEVEL, "slerp"),
    ),
    _middle(
        "In absolute terms too, the geodesic's middle image is denser than slerp's.",
        "geodesic {geodesic}, slerp {slerp}, truth {truth}", "geodesic", "slerp",
    ),
    _middle(
        "Density is not naturalness: slerp's middle image is denser than the true one.",
        "slerp {slerp}, truth {truth}, geodesic {geodesic}", "slerp", "truth",
    ),
    Claim(
        "The measures know the truth from a cross-fade: true frames cover the middle and do not "
        "drift, a pixel blend covers nothing.",
        "Coverage {true} and drift {drift} of the true frames, coverage {fade} of the pixel "
        "blend, where a detour is needed.",
        lambda d: {
            "true": value(d, "main", "truth", "coverage", "detour"),
            "drift": value(d, "main", "truth", "drift", "detour"),
            "fade": value(d, _FURTHER, "pixel blend", "coverage", "detour"),
        },
        lambda f: _mean(f["true"]) > 0.9 and _mean(f["drift"]) < 0.5 and _mean(f["fade"]) < 0.1,
        with_interval,
    ),
)
