"""A comparison on digits as it is written down: means with intervals, and wins over slerp."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.digit_data import SEED, Digits
from benchmarks.digit_measures import frechet_to, grey, jackknife, principal, told_apart, written
from benchmarks.digit_methods import SLERP
from diffusion_geodesics.apps.evidence import Comparison
from diffusion_geodesics.apps.evidence.comparison import plain_features
from diffusion_geodesics.measures import Better, mean_estimate
from diffusion_geodesics.measures import Estimate as Mean

LESS = f" less {SLERP}'s"


def set_values(done: Comparison, digits: Digits) -> dict[str, dict[str, Mean]]:
    """Fréchet distance and C2ST of every method, and their differences from slerp's."""
    number = {p.name: i for i, p in enumerate(digits.pairs)}
    chosen = [number[p.name] for p in done.pairs]
    frames = {m: [p.outcomes[m].frames[1:-1] for p in done.pairs] for m in done.methods}
    look = digits.real.classifier.features
    reference = look(grey(digits.reference)).numpy().astype(float)
    spread = np.sqrt(reference.var(0).sum())
    reference = reference / spread
    deep = {m: [look(grey(f)).numpy() / spread for f in v] for m, v in frames.items()}
    plain = {m: [plain_features(f[:, :1]) for f in v] for m, v in frames.items()}
    others = [plain_features(digits.others[i][:, :1]) for i in chosen]
    mean, axes = principal([s for v in (*plain.values(), others) for s in v], 64)
    reduced = {m: [(s - mean) @ axes for s in v] for m, v in plain.items()}
    truth = [(s - mean) @ axes for s in others]
    found: dict[str, dict[str, Mean]] = {m: {} for m in done.methods}
    distances = [frechet_to(reference, deep[m]) for m in done.methods]
    rival = list(done.methods).index(SLERP)

    def values(index: np.ndarray) -> np.ndarray:
        each = np.array([distance(index) for distance in distances])
        return np.concatenate([each, each - each[rival]])

    told = jackknife(values, len(done.pairs))
    right = {m: told_apart(truth, strips) for m, strips in reduced.items()}
    for k, m in enumerate(done.methods):
        found[m] = {
            "Fréchet distance": told[k],
            "C2ST": mean_estimate(right[m].tolist(), seed=SEED),
        }
        if m != SLERP:
            found[m] |= {
                f"Fréchet distance{LESS}": told[len(distances) + k],
                f"C2ST{LESS}": mean_estimate((right[m] - right[SLERP]).tolist(), seed=SEED),
            }
    return found


def study(
    name: str, what: str, done: Comparison, digits: Digits, *, short: bool = False
) -> dict[str, Any]:
    """A comparison as it is written down: means with intervals, and wins over slerp."""
    sets = set_values(done, digits)
    quantities = [q for q in done.measured if q.name != "seconds"]
    if short:
        quantities = [q for q in quantities if q.better is not Better.NEITHER]
    rows = []
    for m in done.methods:
        means = {q.name: done.mean(m, q.name) for q in quantities} | sets[m]
        wins = {q.name: done.wins(m, q) for q in quantities}
        notes = sum(bool(p.outcomes[m].note) for p in done.pairs)
        rows.append(
            {
                "method": m,
                "values": {k: written(v) for k, v in means.items() if v.count},
                "wins": {k: written(v) for k, v in wins.items() if v is not None},
                **({"not converged": notes} if notes else {}),
            }
        )
    level = done.settings["level"]
    return {"name": name, "what": what, "pairs": len(done.pairs), "level": level, "rows": rows}


def reading(main: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """For each method the quantities on which its paired interval against slerp excludes a draw."""
    found = {}
    for row in main["rows"]:
        better, worse = [], []
        for name, win in row["wins"].items():
            if "low" in win and win["low"] > 0.5:
                better.append(name)
            elif "high" in win and win["high"] < 0.5:
                worse.append(name)
        for name, gap in row["values"].items():
            if name.endswith(LESS):
                better += [name.removesuffix(LESS)] if gap["high"] < 0 else []
                worse += [name.removesuffix(LESS)] if gap["low"] > 0 else []
        found[row["method"]] = {"better than slerp": better, "worse than slerp": worse}
    return found


def some(done: Comparison, keep: Callable[[int], bool], methods: Sequence[str] = ()) -> Comparison:
    """Part of a comparison: the pairs whose number is kept, and these methods or all."""
    pairs = [p for i, p in enumerate(done.pairs) if keep(i)]
    return replace(
        done, pairs=pairs, methods=[m for m in done.methods if not methods or m in methods]
    )
