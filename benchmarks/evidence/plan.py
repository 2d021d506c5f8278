"""What is measured on rendered pairs: the studies, their methods and their sizes.

`MAIN` is the one place to add a method to: every study that compares methods at the default
settings takes it from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from benchmarks import rife
from benchmarks.evidence.methods import FilmRival, PacedOnce, SoftBlend
from benchmarks.evidence.pairs import Kind, TruePair, true_pairs
from diffusion_geodesics.cli.methods import read_method
from diffusion_geodesics.comparison.method import Method
from diffusion_geodesics.comparison.settings import ComparisonSettings

# fmt: off
OURS, UNBENT, SAMPLED = "natural", "natural:strength=0", "natural:excess=0"
"""That which the package does by default; the path that it bends, unbent; and its frames as the
network's samples everywhere."""
MAIN = ("lerp", "slerp", OURS, UNBENT, SAMPLED)
"""Methods of the main study, as `read_method` knows them, beside RIFE where it is installed."""
FURTHER = (
    "pixel", "latent", "lerp", "slerp", "hlerp", "ddim", "noise", "geodesic", "geodesic:strength=3",
    "geodesic:strength=10", UNBENT, OURS, "natural:strength=1",
)
"""Methods of a smaller study, both baselines among them."""
PROMPTED = (
    "lerp", "slerp", "slerp:bump=2", "hlerp:bump=2", "geodesic", "geodesic:score=ratio", UNBENT,
    "natural:strength=0,bump=2",
)
ALONG = ("lerp", "slerp", "geodesic", OURS, UNBENT)
"""Methods at other levels, whose densities are taken, and beside the paper's algorithm."""
SAME = (*ALONG, "published:level=same")
PUBLISHED = ("slerp", "published")
# fmt: on
FIXED: dict[str, Method] = {"pixel": SoftBlend(), "rife": FilmRival()}
"""Methods that do without the model."""
LEVELS = (0.2, 0.4, 0.6, 0.8)
STRENGTH = 1.0
"""α·d of the metric that density and length along paths are measured in: that of "geodesic"."""
DENSITY_LEVEL = 0.4
"""Of the study whose middle frames get an absolute density."""

DETOUR = (Kind.TURN, Kind.HAIR, Kind.EXPRESSION)
"""The kinds that the goal is about: those of a turn, hair, glasses and an expression whose true
frames lie off every cross-fade. Glasses in between are half transparent here, so their truth is a
cross-fade ("detour to make")."""
DENSITY_KINDS = (Kind.TURN, Kind.HAIR, Kind.ALL)
"""Kinds of pairs at other levels, whose absolute densities are taken."""

FRAMES = 7


@final
@dataclass(frozen=True)
class Study:
    """Some methods on some pairs.

    Args:
        name: of the study.
        what: it asks, in a sentence.
        methods: as `read_method` knows them, or a key of `FIXED`.
        settings: of the comparison.
        count: pairs of each kind.
        kinds: of pairs.
        prompts: whether captions are prompts.
        truth: whether the true frames are among the methods.
        along: whether density and length along the paths are measured as well; that takes half as
            much time again.
    """

    name: str
    what: str
    methods: tuple[str, ...]
    settings: ComparisonSettings
    count: int
    kinds: tuple[Kind, ...] = tuple(Kind)
    prompts: bool = False
    truth: bool = False
    along: bool = False

    def cases(self) -> list[TruePair]:
        """The pairs."""
        return true_pairs(self.count, self.kinds)

    def made(self) -> list[Method]:
        """The methods themselves, without the truth."""
        found = [FIXED.get(m) or read_method(m) for m in self.methods]
        return list(found) if self.along else [PacedOnce(m) for m in found]


PAIRS = 29
"""Of each kind in the main study: 203 in all."""


def plan(quick: bool, pairs: int = PAIRS) -> list[Study]:
    """All studies; ``quick`` is the same with a pair of a kind, and so are all studies but the main
    one where that has fewer than `PAIRS`.

    The whole took 57 minutes of two cores, digits included, and a pair of the main study 17 seconds
    of one.
    """
    main = 1 if quick else pairs
    some, paper, few = (1, 1, 1) if quick or pairs < PAIRS else (2, 4, 2)
    default = ComparisonSettings.of(frames=FRAMES)
    some_kinds = (Kind.TURN,) if quick else (*DETOUR, Kind.ALL)
    three_kinds = (Kind.TURN,) if quick else DENSITY_KINDS
    text = "with captions as prompts"
    compared = (*MAIN, "rife") if rife.installed() else MAIN

    def level(value: float) -> Study:
        what = f"Noise level {value:g}, with density and length along the paths."
        own = ComparisonSettings.of(frames=FRAMES, level=value, strength=STRENGTH)
        truth = value == DENSITY_LEVEL
        return Study(
            f"level {value:g}", what, ALONG, own, few, three_kinds, truth=truth, along=True
        )

    return [
        Study(
            "main", "All kinds of pairs at the default level.", compared, default, main, truth=True
        ),
        Study(
            "paper", f"The paper's algorithm from the same inversion as all others, {text}.",
            SAME, default, paper, some_kinds, prompts=True,
        ),
        Study(
            "further methods", "Further methods and strengths of the metric.",
            FURTHER, default, some, some_kinds,
        ),
        Study(
            "prompts", "Captions as prompts: guidance bumps, and the geodesic of the ratio.",
            PROMPTED, default, few, some_kinds, prompts=True,
        ),
        *(level(value) for value in ((DENSITY_LEVEL,) if quick else LEVELS)),
        Study(
            "published", f"The paper's algorithm at its published settings, {text}.",
            PUBLISHED, default, 1, three_kinds, prompts=True,
        ),
    ]  # fmt: skip
