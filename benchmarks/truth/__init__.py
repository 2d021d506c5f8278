"""Frames in between against the truth: heads whose factors are known, rendered in between.

Pairs of held-out heads differ in one factor (a turn, a smile, the length of the hair, the light,
glasses), in an expression, or in all of them. What lies between two heads is the line between
their factors, rendered, put through the model's autoencoder (whose softness is no method's fault)
and re-timed like every other strip.

    python -m benchmarks.truth --pairs 4 --write runs/truth
"""

from benchmarks.truth.fitting import Fit, Surroundings, surroundings
from benchmarks.truth.measure import QUANTITIES, Truth, coverage, cross_fade, detour, true_way
from benchmarks.truth.pairs import MOST, Kind, TruePair, true_pairs
from benchmarks.truth.running import TRUTH, SoftBlend, TrueFrames, by_kind, run

__all__ = [
    "MOST",
    "QUANTITIES",
    "TRUTH",
    "Fit",
    "Kind",
    "SoftBlend",
    "Surroundings",
    "TrueFrames",
    "TruePair",
    "Truth",
    "by_kind",
    "coverage",
    "cross_fade",
    "detour",
    "run",
    "surroundings",
    "true_pairs",
    "true_way",
]
